import ConsentModel
import ConsentTestSupport
import Testing

struct DecisionCorpusTests {
    @Test func theCorpusIsReadToTheLastField() throws {
        let cases = try DecisionCorpus.cases.get()
        #expect(cases.count >= 645)
    }

    @Test func everyCaseHasANameOfItsOwn() throws {
        let names = try DecisionCorpus.cases.get().map(\.name)
        let repeated = Dictionary(grouping: names, by: \.self).filter { $0.value.count > 1 }.keys.sorted()
        #expect(repeated == [])
    }

    @Test func everyStateIsTheReasonOfSomeCase() throws {
        let reasons = Set(try DecisionCorpus.cases.get().map(\.reason))
        #expect(Set(ConsentState.allCases).subtracting(reasons) == [])
    }

    @Test func everyStateOfAnEventStandsInSomeHistory() throws {
        let states = Set(try DecisionCorpus.cases.get().flatMap { $0.history.map(\.state) })
        #expect(Set(EventState.allCases).subtracting(states) == [])
    }

    @Test(arguments: DecisionCorpus.readableCases)
    func decidesAsTheCaseSays(_ example: DecisionCorpus.Case) throws {
        let purpose = try #require(example.catalog.purpose(id: example.purpose))
        let verdict = decide(example.history, catalog: example.catalog, purpose: purpose, at: example.clock)
        #expect(verdict.reason == example.reason)
        #expect(verdict.decision == example.decision)

        var standing = Standing()
        for act in example.history { standing.fold(act) }
        #expect(decide(standing, catalog: example.catalog, purpose: purpose, at: example.clock) == verdict)
    }
}
