import ArgumentParser
import ConsentCatalog
import ConsentClient
import ConsentKernel
import ConsentModel
import Foundation

struct CatalogGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "catalog",
        abstract: "Check, compare, apply and show catalogs.",
        discussion: """
            Begin with the template, check the file after every change to it, see what it would change and for how \
            many, then apply it.

            EXAMPLES
              consentd catalog template > club.yaml
              consentd catalog check club.yaml
              consentd catalog diff club.yaml
              consentd catalog apply club.yaml
            """,
        subcommands: [CheckFile.self, Diff.self, Apply.self, Show.self, Template.self])

    struct CheckFile: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check", abstract: "Judge a catalog file; needs no node.",
            discussion: """
                Exits 0 if it is sound, 5 if it breaks rules. Of a sound one it says what it lacks, such as the address \
                of a controller, which every receipt must carry. With --json it prints each problem's and note's line, \
                column and rule. With --against it is also held against the catalog that it is to follow, such as the one before \
                it under version control: a bit is never used again, and what people were shown stays as it was. That \
                a new revision is not backdated, 'catalog diff' and 'catalog apply' check, by the node's clock.

                EXAMPLES
                  consentd catalog check club.yaml
                  consentd catalog check club.yaml --against applied.yaml
                  consentd catalog check club.yaml --json
                """)

        @Argument(help: "YAML file.") var file: String
        @Option(help: "Catalog that the file is to follow: a YAML file.") var against: String?
        @Flag(name: .long, help: "Print JSON.") var json = false

        func run() async throws {
            try await reportingFailures {
                let text = try readText(file)
                let applied = try against.map { try readCatalog($0).catalog }
                do throws(CatalogRejection) {
                    let document = try CatalogDocument(text: text, file: file)
                    let catalog = document.catalog
                    try refuseConflicts(document, with: applied)
                    if json {
                        Output.json([
                            "sound": true, "problems": [] as [Any], "notes": document.notes.map(object),
                        ])
                    } else {
                        for note in document.notes { Output.error("note: \(note)") }
                        print(
                            "sound: "
                                + [
                                    Output.counted(catalog.purposes.count, "purpose"),
                                    Output.counted(catalog.declarations.count, "declaration"),
                                    Output.counted(catalog.recipients.count, "recipient"),
                                ].joined(separator: ", "))
                    }
                } catch {
                    show(error)
                    throw Exit.refused
                }
            }
        }

        /// What has come into force by now has been shown to people.
        private func refuseConflicts(
            _ document: CatalogDocument, with applied: Catalog?
        ) throws(CatalogRejection) {
            guard let applied else { return }
            let now = Timestamp(millis: Clock.realtimeMillis())
            let problems = document.problems(catalogConflicts(from: applied, to: document.catalog, at: now))
            guard problems.isEmpty else { throw CatalogRejection(problems: problems) }
        }

        private func show(_ rejection: CatalogRejection) {
            guard json else {
                Output.error("\(rejection)")
                return
            }
            Output.json([
                "sound": false, "problems": rejection.problems.map(object), "notes": [] as [Any],
            ])
        }

        private func object(_ problem: CatalogProblem) -> [String: Any] {
            [
                "line": problem.line, "column": problem.column, "rule": problem.rule, "message": problem.message,
            ]
        }
    }

    struct Diff: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say what applying a catalog would change, and for how many people. Changes nothing.",
            discussion: """
                First how many people lose which consent until they are asked again, then who must be told of each \
                revision, then every change. 'consentd notices' lists the people.

                EXAMPLE
                  consentd catalog diff club.yaml
                """)

        @OptionGroup var node: NodeOptions
        @Argument(help: "YAML file.") var file: String

        func run() async throws { try await send(file, node, dryRun: true) }
    }

    struct Apply: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Apply a catalog, all of it or nothing.",
            discussion: """
                Says what changes. 'consentd catalog diff' says it without doing it.

                EXAMPLE
                  consentd catalog apply club.yaml
                """)

        @OptionGroup var node: NodeOptions
        @Argument(help: "YAML file.") var file: String

        func run() async throws { try await send(file, node, dryRun: false) }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the purposes of the applied catalog, or its controllers, or with --document print it.",
            discussion: """
                EXAMPLES
                  consentd catalog show
                  consentd catalog show --controllers
                  consentd catalog show --document > club.yaml
                """)

        @OptionGroup var node: NodeOptions
        @Flag(help: "Print the YAML text as it was applied.") var document = false
        @Flag(help: "List the controllers, and how they are reached.") var controllers = false

        func validate() throws {
            guard !document || !controllers else {
                throw ValidationError("--document and --controllers exclude each other")
            }
        }

        func run() async throws {
            try await node.withClient { client in
                if document {
                    show(try await client.catalogDocument().text, json: node.json)
                    return
                }
                if controllers {
                    let text = try await client.catalogDocument().text
                    list(try CatalogDocument(text: text, file: "catalog").catalog.controllers)
                    return
                }
                let purposes = try await client.purposes()
                if node.json {
                    for purpose in purposes {
                        Output.json([
                            "id": purpose.id, "bit": purpose.bit, "basis": purpose.basis.name,
                            "controller": purpose.controller, "active": purpose.isActive,
                        ])
                    }
                } else {
                    Output.table(
                        [["BIT", "PURPOSE", "BASIS", "CONTROLLER", ""]]
                            + purposes.map {
                                ["\($0.bit)", $0.id, $0.basis.name, $0.controller, $0.isActive ? "" : "retired"]
                            })
                }
            }
        }

        private func list(_ controllers: [Controller]) {
            for controller in controllers {
                let rows = [
                    ("id", controller.id), ("name", controller.name), ("contact", controller.contact),
                    ("dataProtectionOfficer", controller.dataProtectionOfficer), ("parent", controller.parent ?? ""),
                    ("address", controller.address), ("phone", controller.phone), ("url", controller.url),
                ]
                if node.json {
                    let values = rows.map { ($0, $1.isEmpty ? Output.null : $1 as Any) }
                    Output.json(Dictionary(uniqueKeysWithValues: values))
                } else {
                    Output.table(rows.filter { !$1.isEmpty }.map { [$0, Output.printable($1)] })
                }
            }
        }
    }

    struct Template: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the template catalog, to begin your own with.",
            discussion: """
                EXAMPLE
                  consentd catalog template > club.yaml
                """)

        @Flag(name: .long, help: "Print JSON.") var json = false

        func run() async throws { show(TemplateCatalog.text, json: json) }
    }
}

private func show(_ document: String, json: Bool) {
    if json { Output.json(["document": document]) } else { print(document, terminator: "") }
}

private func send(_ file: String, _ node: NodeOptions, dryRun: Bool) async throws {
    try await reportingFailures {
        // Judged here first: the message then names the file as the user did.
        let document = try readCatalog(file)
        try await node.withClient { client in
            let outcome = try await client.applyCatalog(document.text, dryRun: dryRun)
            if node.json {
                Output.json([
                    "dryRun": dryRun, "version": outcome.version, "sequence": outcome.sequence ?? Output.null,
                    "changes": outcome.changes,
                ])
                return
            }
            for change in outcome.changes { print("  \(Output.printable(change))") }
            if outcome.changes.isEmpty {
                print("nothing changes; version \(outcome.version) stays applied")
            } else {
                print(dryRun ? "would become version \(outcome.version)" : "applied as version \(outcome.version)")
            }
        }
    }
}
