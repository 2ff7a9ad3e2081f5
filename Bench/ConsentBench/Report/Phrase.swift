/// What a report says, in the languages of those who read it: English, Norwegian (bokmål), Swedish.
struct Phrase {
    let english: String
    let norwegian: String
    let swedish: String

    init(_ english: String, _ norwegian: String, _ swedish: String) {
        self.english = english
        self.norwegian = norwegian
        self.swedish = swedish
    }

    /// The same in all of them, such as a name.
    init(_ text: String) { self.init(text, text, text) }

    /// A number, with the decimal sign of each language.
    init(_ value: Double, unit: String = "") {
        let text = Self.decimal(value)
        let suffix = unit.isEmpty ? "" : "\u{202F}" + unit
        self.init(text + suffix, text.withComma + suffix, text.withComma + suffix)
    }

    /// All of them, of which the page shows one.
    var html: String {
        if english == norwegian, english == swedish { return Self.escaped(english) }
        return [("en", english), ("nb", norwegian), ("sv", swedish)]
            .map { "<span lang=\"\($0)\">\(Self.escaped($1))</span>" }.joined()
    }

    static func + (left: Phrase, right: Phrase) -> Phrase {
        Phrase(left.english + right.english, left.norwegian + right.norwegian, left.swedish + right.swedish)
    }

    static func escaped(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.append(character)
            }
        }
    }

    /// Three digits or all before the decimal sign, with thin spaces between thousands.
    static func decimal(_ value: Double) -> String {
        guard value.isFinite else { return "–" }
        let size = abs(value)
        let places = size >= 100 || size == 0 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 4
        var scale = 1
        for _ in 0..<places { scale *= 10 }
        let scaled = Int((size * Double(scale)).rounded())
        var whole = "\(scaled / scale)"
        var grouped = ""
        while whole.count > 3 {
            grouped = "\u{202F}" + whole.suffix(3) + grouped
            whole.removeLast(3)
        }
        let fraction = "\(scaled % scale)"
        let rest = places == 0 ? "" : "." + String(repeating: "0", count: places - fraction.count) + fraction
        return (value < 0 ? "−" : "") + whole + grouped + rest
    }
}

extension String {
    fileprivate var withComma: String { String(map { $0 == "." ? "," : $0 }) }
}

extension Phrase {
    static let title = Phrase(
        "Load benchmark of consentd", "Lasttest av consentd", "Belastningstest av consentd")
    static let machine = Phrase("Machine and build", "Maskin og bygg", "Maskin och bygge")
    static let comparison = Phrase("Beside peers and floors", "Ved siden av andre", "Bredvid andra")
    static let runs = Phrase("Runs", "Kjøringer", "Körningar")
    static let micro = Phrase("Parts by themselves", "Delene hver for seg", "Delarna var för sig")
    static let percentiles = Phrase(
        "Response time by percentile", "Svartid etter persentil", "Svarstid efter percentil")
    static let throughput = Phrase(
        "Answers per second over time", "Svar per sekund over tid", "Svar per sekund över tid")
    static let tail = Phrase(
        "99th percentile over time", "99-persentilen over tid", "99:e percentilen över tid")
    static let readPercentiles = Phrase(
        "Solid: from when a request was due (what a user waits). Dashed: from when it was sent.",
        "Heltrukket: fra forespørselen skulle vært sendt (det en bruker venter). Stiplet: fra den ble sendt.",
        "Heldragen: från när frågan skulle ha skickats (det en användare väntar). Streckad: från när den skickades.")
    static let turned = Phrase(
        "Ratios are turned so that larger is better for consentd; they are the median of alternating rounds, with the "
            + "least and the largest of them.",
        "Forholdstall er snudd slik at større er bedre for consentd; de er medianen av vekslende runder, med den "
            + "minste og den største av dem.",
        "Kvoterna är vända så att större är bättre för consentd; de är medianen av växlande omgångar, med den minsta "
            + "och den största av dem.")
    static let reached = Phrase("reached", "nådd", "nådd")
    static let missed = Phrase("not reached", "ikke nådd", "inte nådd")
    static let notRun = Phrase("not run", "ikke kjørt", "inte körd")
    static let target = Phrase("target", "mål", "mål")
    static let parameters = Phrase("Parameters", "Parametere", "Parametrar")
    static let second = Phrase("s", "s", "s")

    static let caseColumns = [
        Phrase("row", "rad", "rad"), Phrase("case", "tilfelle", "fall"), Phrase("consentd"),
        Phrase("beside", "ved siden av", "bredvid"), Phrase("value there", "verdi der", "värde där"),
        Phrase("ratio", "forhold", "kvot"), Phrase("least – most", "minst – størst", "minst – störst"), target,
        Phrase("verdict", "dom", "utfall"),
    ]
    static let runColumns = [
        Phrase("run", "kjøring", "körning"), Phrase("answers/s", "svar/s", "svar/s"),
        Phrase("questions/s", "spørsmål/s", "frågor/s"), Phrase("p50 µs"), Phrase("p90 µs"), Phrase("p99 µs"),
        Phrase("p99.9 µs", "p99,9 µs", "p99,9 µs"), Phrase("max µs", "maks µs", "max µs"),
        Phrase("service p99 µs", "betjening p99 µs", "betjäning p99 µs"),
        Phrase("server µs per question", "tjener µs per spørsmål", "server µs per fråga"),
        Phrase("wrong", "gale", "felaktiga"),
    ]
    static let microColumns = [
        Phrase("part", "del", "del"), Phrase("ns each", "ns hver", "ns var"),
        Phrase("checksum", "sjekksum", "kontrollsumma"),
    ]

    static func notice(_ notice: RunSummary.Notice) -> Phrase {
        let value = Phrase(notice.value)
        let percent = Phrase(notice.value * 100, unit: "%")
        return switch notice.kind {
        case .generatorFull:
            Phrase(
                "The generator was the limit, not the server: it used ",
                "Generatoren var grensen, ikke tjeneren: den brukte ",
                "Generatorn var gränsen, inte servern: den använde ") + percent
                + Phrase(" of its processor.", " av prosessoren sin.", " av sin processor.")
        case .generatorLate:
            Phrase(
                "The generator sent late: one request in a hundred by ",
                "Generatoren sendte for sent: én av hundre forespørsler med ",
                "Generatorn skickade för sent: en fråga av hundra med ") + value
                + Phrase(" µs or more.", " µs eller mer.", " µs eller mer.")
        case .wrong:
            Phrase("WRONG answers: ", "GALE svar: ", "FELAKTIGA svar: ") + value
        case .refused:
            Phrase(
                "Refused because the server was busy: ", "Avvist fordi tjeneren var opptatt: ",
                "Avvisade för att servern var upptagen: ") + value
        case .unanswered: Phrase("Never answered: ", "Aldri besvart: ", "Aldrig besvarade: ") + value
        case .unsent:
            Phrase(
                "Due, but not sent before the end; counted as having waited until then: ",
                "Skulle vært sendt, men ble ikke det før slutten; telles som om de ventet til da: ",
                "Skulle ha skickats men hann inte före slutet; räknas som om de väntade till dess: ") + value
        }
    }

    static func fact(_ name: String) -> Phrase {
        switch name {
        case "processor": Phrase("Processor", "Prosessor", "Processor")
        case "kernel": Phrase("Kernel", "Kjerne", "Kärna")
        case "cores": Phrase("Cores", "Kjerner", "Kärnor")
        case "memory": Phrase("Memory", "Minne", "Minne")
        case "clock": Phrase("Clock", "Klokke", "Klocka")
        case "congestion": Phrase("Congestion control", "Metningskontroll", "Stockningskontroll")
        case "build": Phrase("Build", "Bygg", "Bygge")
        case "commit": Phrase("Commit")
        default: Phrase("Measured at", "Målt", "Mätt")
        }
    }
}
