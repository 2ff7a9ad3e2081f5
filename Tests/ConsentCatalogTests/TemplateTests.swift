import ConsentCatalog
import ConsentModel
import Testing

@Suite struct TemplateTests {
    private func template() throws -> CatalogDocument { try document(TemplateCatalog.text) }

    @Test func isAccepted() throws {
        let template = try template()
        #expect(template.languages == ["nb", "sv", "en"])
        #expect(template.catalog.controllers.count == 3)
        #expect(template.catalog.controllers.filter { $0.parent == "lyngvik-gruppen" }.count == 2)
        #expect(template.catalog.purposes.map(\.bit) == Array(0..<13))
    }

    @Test func saysHowEachControllerIsReached() throws {
        #expect(try template().notes == [])
        for controller in try template().catalog.controllers {
            #expect(controller.contact.contains("@") && controller.address.contains(", "))
            #expect(controller.phone.hasPrefix("+4") && controller.url.hasPrefix("https://www."))
        }
    }

    @Test func shipsEnrichmentAndCleaningAsTwoPurposesWithTwoBases() throws {
        let catalog = try template().catalog
        #expect(catalog.purpose(id: "enrichment")?.basis == .consent)
        #expect(catalog.purpose(id: "register-cleaning")?.basis == .legitimateInterest)
    }

    @Test func showsEveryKindOfPurpose() throws {
        let purposes = try template().catalog.purposes
        #expect(purposes.contains { $0.requiresDoubleOptIn && $0.isDirectMarketing })
        #expect(purposes.contains { $0.isProfiling && $0.basis == .consent })
        #expect(purposes.contains { $0.isSharing })
        #expect(purposes.contains { $0.isDirectMarketing && $0.basis == .legitimateInterest })
        #expect(purposes.contains { $0.minimumAge != nil })
        #expect(purposes.contains { $0.requiresExplicit })
        #expect(purposes.contains { $0.basis == .contract })
        #expect(purposes.contains { $0.basis == .legalObligation })
        #expect(purposes.contains { $0.failPolicy == .static })
    }

    @Test func carriesConsentFromTheFirstRevisionToTheSecondAndNotToTheThird() throws {
        let declaration = try #require(try template().catalog.declaration(id: "club-membership-marketing"))
        #expect(declaration.revisions.map(\.name) == ["1.0", "1.1", "1.2"])
        #expect(
            declaration.revisions.map(\.effectiveAt)
                == ["2023-01-01", "2024-06-01", "2026-03-01"].map { Timestamp(iso8601: $0) })
        let (second, third) = (declaration.revisions[1], declaration.revisions[2])
        #expect(declaration.carriesOver(from: "1.0", to: second, purpose: "newsletter"))
        #expect(!declaration.carriesOver(from: "1.1", to: third, purpose: "newsletter"))
        #expect(third.purposes.contains("partner-offers"))
    }

    @Test func saysEverythingInThreeLanguagesAndPlainly() throws {
        let revisions = try template().catalog.declarations.flatMap(\.revisions)
        #expect(revisions.count == 5)
        for revision in revisions {
            #expect(revision.texts.keys.sorted() == ["en", "nb", "sv"])
            #expect(revision.texts.values.allSatisfy { $0.body.count > 300 && $0.plain.count > 100 })
            #expect(Set(revision.texts.values.map(\.body)).count == 3)
        }
    }

    @Test func namesEveryRecipientOfARevisionInItsTexts() throws {
        let catalog = try template().catalog
        for revision in catalog.declarations.flatMap(\.revisions) {
            let names = catalog.recipients.filter { revision.recipients.contains($0.id) }.map(\.name)
            for (language, text) in revision.texts {
                let body = text.body.replacing("\n", with: " ")
                #expect(names.allSatisfy(body.contains), "\(revision.name) \(language)")
            }
        }
    }
}
