import ConsentModel
import Testing

@testable import ConsentRegister

/// A register under the names that it came with.
@Suite struct ColumnMappingTests {
    private func mapped(_ lines: String...) throws -> RegisterOptions {
        var mapping = ColumnMapping()
        for line in lines { try mapping.add(line) }
        var options = RegisterOptions()
        options.columnNames = mapping.columnNames
        return options
    }

    @Test func aRegisterIsReadUnderItsOwnNames() throws {
        let text = """
            Kundenr;E-post;Formål;Dato
            7;Kari@Example.no;newsletter;2026-05-01

            """
        let options = try mapped("customer=Kundenr", "email = E-post", "purpose=Formål", "captured_at=Dato")
        let event = try #require(try readRegister(text, options: options).events.first)
        #expect(event.identifiers.map(\.text) == ["customer:7", "email:kari@example.no"])
        #expect(event.purpose == "newsletter" && event.capturedAt == Timestamp(iso8601: "2026-05-01"))
    }

    @Test func aMappingIsReadFromAFile() throws {
        var mapping = ColumnMapping()
        try mapping.read("# from the till\n\nemail = E-post\r\npurpose=Formål = 2\n")
        #expect(mapping.columnNames == ["email": "E-post", "purpose": "Formål = 2"])
        for (text, line) in [("email", 1), ("\n= E-post", 2), ("email =", 1), ("email=A\nemail=B", 2)] {
            #expect {
                var mapping = ColumnMapping()
                try mapping.read(text)
            } throws: { error in
                (error as? ColumnMapping.Fault)?.line == line
            }
        }
    }

    @Test func aMappingThatFitsNothingIsRefusedWithWhatWouldFit() throws {
        let text = "E-post;purpose\na@example.no;p0\n"
        func refusal(_ lines: String...) throws -> RegisterRefusal? {
            var options = RegisterOptions()
            var mapping = ColumnMapping()
            for line in lines { try mapping.add(line) }
            options.columnNames = mapping.columnNames
            do throws(RegisterRefusal) {
                _ = try readRegister(text, options: options)
                return nil
            } catch {
                return error
            }
        }
        #expect(try refusal("email=E-post") == nil)
        #expect(try refusal("mail=E-post") == .mappingUnknown(["mail"]))
        #expect(try refusal("email=Epost") == .mappedMissing(["epost"], found: ["e_post", "purpose"]))
        #expect(try refusal("email=E-post", "phone=e post") == .columnsDuplicate(["e_post"]))
        // The column keeps its name, and then there are two.
        #expect(try refusal("email=E-post", "customer=purpose")?.description.contains("'purpose'") ?? false)
    }
}

@Suite struct BoughtListTests {
    @Test func ofABoughtListOnlyWhatIsProvedCounts() throws {
        let text = """
            email,purpose,state,captured_at,declaration,revision,language,method,list_source
            proved@example.no,p0,given,2026-05-01,club,1.0,nb,button,
            half@example.no,p0,given,2026-05-01,,,,button,
            asked@example.no,p0,requested,,,,,,
            ours@example.no,p0,given,,,,,,own
            no@example.no,p0,withdrawn,,,,,,

            """
        var options = RegisterOptions()
        options.listSource = .bought
        let read = try readRegister(text, options: options)
        #expect(read.rules == ["bought_without_proof", "bought_without_proof"])
        #expect(read.rejections.map(\.line) == [3, 4])
        #expect(read.events.map(\.state) == [.given, .requested, .withdrawn])
        #expect(try readRegister(text).rules == [])
    }
}

@Suite struct RegisterCensusTests {
    private func event(
        _ identifiers: String..., purpose: String = "p0", state: EventState = .given, at time: String = "2026-05-01"
    ) throws -> ConsentEvent {
        var event = ConsentEvent(
            identifiers: try identifiers.map { try Identifier(text: $0) }, purpose: purpose, state: state)
        event.capturedAt = Timestamp(iso8601: time)
        return event
    }

    @Test func whatStandsThereTwiceIsRepeated() throws {
        var census = RegisterCensus()
        #expect(census.take(try event("customer:1", "email:a@example.no")) == .new)
        #expect(census.take(try event("customer:1", "email:a@example.no")) == .repeated)
        #expect(census.take(try event("customer:1", "email:a@example.no", purpose: "p1")) == .new)
        #expect(census.take(try event("customer:1", "email:a@example.no", at: "2026-05-02")) == .new)
        #expect(census.take(try event("customer:2", "email:b@example.no")) == .new)
    }

    @Test func yesAndNoAtOneMomentContradictEachOtherUnderWhateverNames() throws {
        var census = RegisterCensus()
        #expect(census.take(try event("customer:1", "email:a@example.no")) == .new)
        #expect(census.take(try event("email:a@example.no", state: .withdrawn)) == .contradicted)
        #expect(census.take(try event("customer:1", state: .withdrawn, at: "2026-05-02")) == .new)
        #expect(census.take(try event("customer:2", state: .withdrawn)) == .new)
        #expect(census.take(try event("customer:2", state: .renewed)) == .contradicted)
    }

    @Test func identifiersOfSeveralPeopleAreFoundAsTheDoorFindsThem() throws {
        var census = RegisterCensus()
        #expect(census.take(try event("customer:1", "email:a@example.no")) == .new)
        #expect(census.take(try event("customer:2", "email:b@example.no")) == .new)
        #expect(census.take(try event("customer:3", "email:a@example.no")) == .severalPeople)
        #expect(census.isOfSeveralPeople(try event("customer:1", "email:b@example.no")))
        // Not remembered: nobody has the number yet, and an old number beside a new one says that both are one person's.
        #expect(census.take(try event("customer:3")) == .new)
        #expect(census.take(try event("customer:1", "customer:4")) == .new)
        #expect(census.take(try event("customer:4", "email:a@example.no", purpose: "p1")) == .new)
    }
}

@Suite struct RegisterReportTests {
    private func catalog() -> Catalog {
        var (plain, double, young) = (purpose("p0", 0), purpose("double", 1), purpose("young", 2))
        plain.validity = Period(iso8601: "P1Y")
        double.requiresDoubleOptIn = true
        young.minimumAge = 15
        func revision(_ name: String, _ day: String) -> Revision {
            Revision(
                name: name, effectiveAt: Timestamp(iso8601: day)!,
                texts: ["nb": DeclarationText(title: "", body: "", plain: "")], purposes: ["p0", "double", "young"])
        }
        return Catalog(
            purposes: [plain, double, young],
            declarations: [
                Declaration(id: "club", revisions: [revision("1.0", "2020-01-01"), revision("2.0", "2024-01-01")])
            ])
    }

    private func purpose(_ id: String, _ bit: Int) -> Purpose {
        Purpose(id: id, bit: bit, controller: "c", title: [:], basis: .consent)
    }

    private static let register = """
        customer,purpose,state,captured_at,declaration,revision,language,method,age
        1,p0,given,2026-05-01,club,2.0,nb,button,
        2,p0,given,2023-05-01,club,1.0,nb,button,
        3,p0,given,2024-02-01,club,2.0,nb,button,
        4,double,given,2026-05-01,club,2.0,nb,button,
        5,double,given,2026-05-01,club,2.0,nb,double_opt_in,
        6,young,given,2026-05-01,club,2.0,nb,button,12
        7,p0,withdrawn,2026-05-01,,,,,
        8,p0,given,,club,2.0,nb,,
        9,p0,given,2026-05-01,,,,button,
        10,p0,requested,,,,,,
        ,p0,given,2026-05-01,club,2.0,nb,button,
        12,p0,active,2026-05-01,club,2.0,nb,button,

        """

    private func summary() throws -> RegisterSummary {
        var summary = RegisterSummary()
        let read = try readRegister(Self.register)
        for rejection in read.rejections { summary.count(rejection) }
        for row in read.rows {
            summary.count(row)
            if !row.isWithoutProof {
                summary.count(RowNote(row, catalog: catalog(), now: Timestamp(iso8601: "2026-06-01")!))
            }
        }
        return summary
    }

    @Test func everyRowIsWorthSomethingOrHasAReasonWhyNot() throws {
        let summary = try summary()
        let report = RegisterReport(summary, in: .en)
        #expect(report.usableCount == 3)
        #expect(
            Dictionary(uniqueKeysWithValues: report.reasons.map { ($0.slug, $0.rows) }) == [
                "outdated": 1, "expired": 1, "unconfirmed": 1, "insufficient": 1, "asked": 1,
                "no_proof:method+captured_at": 1, "no_proof:declaration+revision": 1, "nobody": 1, "unknown_word": 1,
            ])
        #expect(report.usableCount + report.reasons.map(\.rows).reduce(0, +) == summary.rowCount)
        #expect(report.lines.first == "3 of 12 rows can be used today (25.0 %)")
        #expect(report.lines[1] == "  1 of them say no, and must be respected")
        #expect(report.lines.contains("  1  no proof: it is not known how and when"), "\(report.lines)")
    }

    @Test func peopleReadItInTheirOwnLanguage() throws {
        let summary = try summary()
        let nb = RegisterReport(summary, in: .nb).lines
        #expect(nb.first == "3 av 12 rader kan brukes i dag (25,0 %)")
        #expect(nb.contains("9 er verdiløse som de er (75,0 %), og dette er grunnene:"))
        #expect(nb.contains("  1  bevis mangler: ikke kjent hva det ble samtykket til"))
        let sv = RegisterReport(summary, in: .sv).lines
        #expect(sv.first == "3 av 12 rader kan användas i dag (25,0 %)")
        #expect(sv.contains("  1  bevis saknas: inte känt hur och när"))
        for language in ReportLanguage.allCases {
            let texts = RegisterReport(summary, in: language).reasons.map(\.text)
            #expect(Set(texts).count == texts.count && !texts.contains(""))
        }
    }

    /// A reason that is "other" tells nobody anything.
    @Test(arguments: [
        "identifier_missing", "identifier_invalid", "national_id_withheld", "purpose_missing", "purposes_too_many",
        "state_unknown", "method_unknown", "party_unknown", "explicit_unknown", "list_source_unknown",
        "guardian_relation_unknown", "guardian_invalid", "guardianMissing",
        "captured_at_invalid", "expires_at_invalid", "captured_at_missing", "age_invalid", "text_too_long",
        "state_is_internal", "method_is_not_consent", "ends_before_capture", "bought_without_proof", "field_too_long",
        "row_too_long", "nul_byte", "invalid_utf8", "too_few_fields", "too_many_fields", "quote_unclosed",
        "quote_misplaced", "truncated",
    ])
    func everyRuleOfARegisterHasAReasonOfItsOwn(_ rule: String) { #expect(ReasonKind(rule: rule) != .other) }

    @Test func aProgressPointKeepsWhatWasNoted() throws {
        var summary = try summary()
        for note in RowNote.allCases { summary.count(note) }
        let point = ProgressPoint(
            fileSize: 100, position: FilePosition(offset: 50, line: 3), prefixDigest: [UInt8](repeating: 1, count: 32),
            ledger: LedgerPoint(history: [UInt8](repeating: 2, count: 16), sequence: 9), rejectFileSize: 5,
            summary: summary)
        #expect(try ProgressPoint(text: Array(point.text.utf8)) == point)
    }
}
