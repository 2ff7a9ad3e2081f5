/// What cases, groups and parameters are called in the other languages. They are made of few phrases, in English, which
/// is also what JSON and the screen show.
enum Glossary {
    /// Longer ones first, so that none hides within another.
    private static let entries: [(english: String, norwegian: String, swedish: String)] = [
        (
            "one connection, one request at a time", "én forbindelse, én forespørsel om gangen",
            "en anslutning, en fråga i taget"
        ),
        (
            "open loop at 70 % of Redis's own maximum", "åpen sløyfe ved 70 % av Redis' eget maksimum",
            "öppen slinga vid 70 % av Redis eget maximum"
        ),
        (
            "with the file by which the writer finds people", "med filen som skriveren finner folk ved",
            "med filen som skrivaren hittar personer med"
        ),
        ("server processor time per check", "tjenerens prosessortid per sjekk", "serverns processortid per kontroll"),
        (
            "server processor time per identifier", "tjenerens prosessortid per identifikator",
            "serverns processortid per identifierare"
        ),
        (
            "1,000 identifiers in a request", "1 000 identifikatorer i en forespørsel",
            "1 000 identifierare i en fråga"
        ),
        (
            "growth of a dependent memory access", "veksten til ett avhengig minneoppslag",
            "tillväxten för en beroende minnesläsning"
        ),
        ("growth of a dependent check", "veksten til en avhengig sjekk", "tillväxten för en beroende kontroll"),
        ("the index, which answers checks", "indeksen, som besvarer sjekker", "indexet, som besvarar kontroller"),
        ("one dependent memory access", "ett avhengig minneoppslag", "en beroende minnesläsning"),
        (
            "the run was too short to measure it", "kjøringen var for kort til å måle det",
            "körningen var för kort för att mäta det"
        ),
        (
            "memory per identifier, 20 purposes", "minne per identifikator, 20 formål",
            "minne per identifierare, 20 ändamål"
        ),
        ("mapped batch of 1,000", "avbildet bunke på 1 000", "avbildad bunt om 1 000"),
        ("mapped check, dependent", "avbildet sjekk, avhengig", "avbildad kontroll, beroende"),
        ("rebuild from SQLite", "gjenoppbygging fra SQLite", "återuppbyggnad från SQLite"),
        ("identifiers a second", "identifikatorer i sekundet", "identifierare per sekund"),
        ("the aim of 3 million", "målet på 3 millioner", "målet 3 miljoner"),
        ("the aim of 150,000", "målet på 150 000", "målet 150 000"),
        ("the aim of 50 ns", "målet på 50 ns", "målet 50 ns"),
        ("durable events", "varige hendelser", "varaktiga händelser"),
        ("is not installed", "er ikke installert", "är inte installerat"),
        ("cannot be asked so", "kan ikke spørres slik", "kan inte tillfrågas så"),
        ("50 connections", "50 forbindelser", "50 anslutningar"),
        ("no pipeline", "uten pipeline", "utan pipeline"),
        ("pipeline of", "pipeline på", "pipeline om"),
        ("mixed load", "blandet last", "blandad last"),
        ("closed loop", "lukket sløyfe", "sluten slinga"),
        ("open loop", "åpen sløyfe", "öppen slinga"),
        ("not pinned", "ikke låst", "inte låst"),
        ("throughput", "gjennomstrømning", "genomströmning"),
        ("identifiers", "identifikatorer", "identifierare"),
        ("connections", "forbindelser", "anslutningar"),
        ("Unix socket", "Unix-socket", "Unix-socket"),
        ("processors", "prosessorer", "processorer"),
        ("requests", "forespørsler", "frågor"),
        ("subjects", "personer", "personer"),
        ("question", "spørsmål", "fråga"),
        ("workload", "last", "last"),
        ("a second", "i sekundet", "per sekund"),
        ("constant", "jevn", "jämn"),
        ("blocking", "blokkerende", "blockerande"),
        ("spinning", "spinnende", "snurrande"),
        ("warm-up", "oppvarming", "uppvärmning"),
        ("address", "adresse", "adress"),
        ("threads", "tråder", "trådar"),
        ("extent", "omfang", "omfattning"),
        ("denied", "avslått", "nekade"),
        ("missing", "ukjente", "okända"),
        ("events", "hendelser", "händelser"),
        ("batch", "bunke", "bunt"),
        ("seed", "frø", "frö"),
        ("spin", "spinn", "snurr"),
        ("keys", "nøkler", "nycklar"),
        ("pace", "takt", "takt"),
        ("from", "fra", "från"),
        ("one a person", "én per person", "en per person"),
        (" to ", " til ", " till "),
        (" at ", " ved ", " vid "),
    ]

    static func phrase(_ english: String) -> Phrase {
        Phrase(english, translated(english) { $0.norwegian }, translated(english) { $0.swedish })
    }

    /// Goes through the text once, so that what was translated is not translated again.
    private static func translated(
        _ english: String, _ language: ((english: String, norwegian: String, swedish: String)) -> String
    ) -> String {
        var (text, rest) = ("", english[...])
        while !rest.isEmpty {
            let found = text.last?.isLetter ?? false ? nil : entries.first { begins(rest, with: $0.english) }
            if let found {
                text += language(found)
                rest = rest.dropFirst(found.english.count)
            } else {
                text.append(rest.removeFirst())
            }
        }
        return text
    }

    /// Whether a text begins with a phrase that ends where a word does.
    private static func begins(_ text: Substring, with phrase: String) -> Bool {
        guard text.hasPrefix(phrase) else { return false }
        let endsWithinWord = text.dropFirst(phrase.count).first?.isLetter ?? false
        return !endsWithinWord || phrase.hasSuffix(" ")
    }
}
