/// Whether a recipient's name stands for nobody in particular: `our partners`, `utvalgte samarbeidspartnere`,
/// `tredje parter og andre`. Such a name is made of collective words alone, so that `Partner Reklame AS` is a name.
func isCollectiveName(_ name: String) -> Bool {
    let words = name.lowercased().split { !$0.isLetter }.map(String.init)
    guard words.contains(where: collectives.contains) else { return false }
    return words.allSatisfy { collectives.contains($0) || companions.contains($0) }
}

/// The words by which a declaration's text gives data to nobody in particular, such as `våre samarbeidspartnere`; nil if
/// there are none. A name such as `Media Partners AB` is not one of them: nobody calls it ours.
func collectiveRecipient(in text: String) -> String? {
    let words = text.lowercased().split { !$0.isLetter }.map(String.init)
    for (position, word) in words.enumerated() where partners.contains(word) {
        for start in stride(from: position - 1, through: max(0, position - 2), by: -1)
        where choosers.contains(words[start]) {
            return words[start...position].joined(separator: " ")
        }
    }
    return nil
}

/// Who is meant.
private let partners: Set<String> = [
    "partner", "partners", "partnere", "partnerne", "partnerna", "samarbeidspartner", "samarbeidspartnere",
    "samarbeidspartnerne", "samarbetspartner", "samarbetspartners", "samarbetspartnerna", "samarbejdspartnere",
    "partnerselskaper", "partnerföretag", "affiliates",
]

/// What makes them anybody: whose they are, or that somebody has chosen them.
private let choosers: Set<String> = [
    "our", "selected", "chosen", "trusted", "various", "certain", "other", "vår", "våre", "våra", "vores", "utvalgte",
    "utvalda", "udvalgte", "betrodde", "betrodda", "pålitelige", "pålitliga", "noen", "några", "andre", "andra",
]

/// Words for a kind of recipient, in English, Norwegian (both forms), Swedish and Danish.
private let collectives: Set<String> = [
    "partner", "partners", "partnere", "partnerne", "partnerna", "partnerselskaper", "partnerföretag",
    "samarbeidspartner", "samarbeidspartnere", "samarbeidspartnerne", "samarbeidspartnarar", "samarbeidspartar",
    "samarbetspartner", "samarbetspartners", "samarbetspartnerna", "samarbetspartnerna", "samarbejdspartner",
    "samarbejdspartnere", "affiliate", "affiliates", "party", "parties", "tredjepart", "tredjeparter",
    "tredjepartar", "tredjepartene", "tredjemann", "tredjeman", "part", "parter", "supplier", "suppliers", "vendor",
    "vendors", "provider", "providers", "leverandør", "leverandører", "leverandørene", "leverandørar",
    "underleverandør", "underleverandører", "leverantör", "leverantörer", "leverantörerna", "underleverantörer",
    "advertiser", "advertisers", "annonsør", "annonsører", "annonsørene", "annonsör", "annonsörer", "sponsor",
    "sponsors", "sponsorer", "company", "companies", "selskap", "selskaper", "selskapene", "konsernselskap",
    "konsernselskaper", "bolag", "bolagen", "koncernbolag", "företag", "företagen", "bedrift", "bedrifter",
    "recipient", "recipients", "mottaker", "mottakere", "mottagare", "processor", "processors", "databehandler",
    "databehandlere", "personuppgiftsbiträde", "personuppgiftsbiträden", "organisation", "organisations",
    "organisasjoner", "organisationer", "others", "everyone", "anyone",
]

/// Words that say nothing more beside them.
private let companions: Set<String> = [
    "our", "ours", "the", "we", "us", "your", "their", "trusted", "selected", "other", "various", "certain", "some",
    "several", "all", "any", "and", "or", "of", "with", "carefully", "chosen", "external", "third", "business",
    "marketing", "advertising", "media", "service", "services", "group", "commercial", "etc", "vår", "våre", "vårt",
    "våra", "vores", "deres", "utvalgt", "utvalgte", "utvald", "utvalda", "noen", "några", "annen", "andre", "annan",
    "andra", "alle", "alla", "ulike", "olika", "ekstern", "eksterne", "extern", "externa", "og", "och", "eller",
    "samt", "med", "i", "betrodde", "betrodda", "pålitelige", "pålitliga", "de", "den", "tredje", "m", "fl", "mfl",
    "konsernet", "koncernen", "samarbeidende", "samarbetande", "nøye", "noga",
]
