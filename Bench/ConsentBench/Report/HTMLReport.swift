/// A report as one file that needs no network: tables, and plots as inline SVG, in three languages.
package struct HTMLReport {
    private let documents: [ReportDocument]

    /// - Parameter documents: of one or several commands; their runs are shown beside one another.
    package init(_ documents: [ReportDocument]) { self.documents = documents }

    package var text: String {
        let runs = documents.flatMap(\.runs)
        let cases = documents.flatMap(\.cases)
        let micro = documents.flatMap(\.micro)
        var body = "<h1>\(Phrase.title.html)</h1>"
        body += machines()
        if !cases.isEmpty { body += comparison(cases) }
        if !runs.isEmpty { body += section(of: runs) }
        if !micro.isEmpty { body += parts(micro) }
        return Self.page(body)
    }

    private static func page(_ body: String) -> String {
        let languages = [("en", "English"), ("nb", "Norsk"), ("sv", "Svenska")]
        let inputs = languages.map { code, name in
            "<input type=\"radio\" name=\"language\" id=\"l-\(code)\"\(code == "en" ? " checked" : "")>"
                + "<label for=\"l-\(code)\">\(name)</label>"
        }
        let hiding = languages.map { code, _ in
            "#l-\(code):checked~main [lang]:not([lang=\(code)]){display:none}"
        }
        return """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>\(Phrase.title.english)</title>
            <style>
            body{font:15px/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff;max-width:68rem;margin:1rem auto;padding:0 1rem}
            h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem}h3{font-size:1rem;margin:1.2rem 0 .3rem}
            table{border-collapse:collapse;display:block;overflow-x:auto}td,th{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}
            td:first-child,th:first-child,.l{text-align:left}td.l{white-space:normal;min-width:12rem}
            svg{width:100%;max-width:48rem;height:auto;display:block}svg text{font-size:11px;fill:#444}
            svg polyline{fill:none;stroke-width:1.8}svg .grid{stroke:#e4e4e4}
            .key span.c{display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 .9em;vertical-align:-.05em}
            .good{color:#006b4f;font-weight:600}.bad{color:#b02a00;font-weight:600}.notice{color:#b02a00}.muted{color:#666}
            input[type=radio]{margin-left:.8rem}
            \(hiding.joined(separator: "\n"))
            @media (prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}svg text{fill:#bbb}svg .grid{stroke:#333}td,th{border-color:#333}.good{color:#4fd1a5}.bad,.notice{color:#ff9166}.muted{color:#999}}
            </style></head><body>
            \(inputs.joined())
            <main>
            \(body)
            </main></body></html>

            """
    }

    // MARK: Sections

    /// Each machine and build once, with all the times at which something was measured with it.
    private func machines() -> String {
        var seen: [MachineFacts] = []
        for document in documents {
            var facts = document.machine
            facts.measuredAt = ""
            if !seen.contains(facts) { seen.append(facts) }
        }
        return seen.map { facts in
            let times = documents.map(\.machine).filter { machine in
                var machine = machine
                machine.measuredAt = ""
                return machine == facts
            }
            return machine(facts, measuredAt: times.map(\.measuredAt))
        }.joined()
    }

    private func machine(_ facts: MachineFacts, measuredAt: [String]) -> String {
        let rows: [(String, String)] = [
            ("processor", facts.processor), ("cores", "\(facts.cores)"),
            ("memory", Phrase.decimal(Double(facts.memoryBytes) / 1e9) + " GB"), ("kernel", facts.kernel),
            ("clock", facts.clockSource), ("congestion", facts.congestionControl), ("build", facts.buildMode),
            ("commit", facts.commit.isEmpty ? "–" : facts.commit), ("at", measuredAt.joined(separator: ", ")),
        ]
        let cells = rows.map {
            "<tr><th class=\"l\">\(Phrase.fact($0).html)</th><td class=\"l\">\(Phrase.escaped($1))</td></tr>"
        }
        return "<h2>\(Phrase.machine.html)</h2><table>\(cells.joined())</table>"
    }

    private func comparison(_ cases: [ComparisonCase]) -> String {
        let rows = cases.map { item -> [String] in
            let verdict: String
            if item.reason != nil {
                verdict = "<span class=\"bad\">\(Phrase.notRun.html)</span>"
            } else if let isReached = item.isReached {
                verdict =
                    isReached
                    ? "<span class=\"good\">\(Phrase.reached.html)</span>"
                    : "<span class=\"bad\">\(Phrase.missed.html)</span>"
            } else {
                verdict = ""
            }
            func value(_ value: Double?, _ unit: String) -> String { value.map { Phrase($0, unit: unit).html } ?? "" }
            let spread =
                item.least.flatMap { least in item.most.map { value(least, "") + " – " + value($0, "") } } ?? ""
            return [
                item.row.map { "\($0)" } ?? "",
                Glossary.phrase(item.name).html
                    + (item.reason.map { "<br><span class=\"muted\">\(Glossary.phrase($0).html)</span>" } ?? ""),
                value(item.ours, item.unit), Glossary.phrase(item.peerName).html, value(item.peer, item.unit),
                value(item.ratio, "×"), spread, value(item.target, "×"), verdict,
            ]
        }
        return "<h2>\(Phrase.comparison.html)</h2><p>\(Phrase.turned.html)</p>"
            + Self.table(Phrase.caseColumns, rows, text: [1, 3])
    }

    private func section(of runs: [RunSummary]) -> String {
        var text = "<h2>\(Phrase.runs.html)</h2>" + Self.table(Phrase.runColumns, runs.flatMap(rows(of:)), text: [0])
        var groups: [String] = []
        for run in runs where !groups.contains(run.group) { groups.append(run.group) }
        for group in groups {
            let members = runs.filter { $0.group == group }
            text += "<h3>\(Glossary.phrase(group).html)</h3>" + key(members)
            text += "<p>\(Phrase.percentiles.html). \(Phrase.readPercentiles.html)</p>" + percentilePlot(members).svg
            text += "<p>\(Phrase.throughput.html)</p>" + timePlot(members) { $0.perSecond }.svg
            text += "<p>\(Phrase.tail.html)</p>" + timePlot(members, isTime: true) { $0.p99Micros }.svg
            for run in members { text += details(run) }
        }
        return text
    }

    private func rows(of run: RunSummary) -> [[String]] {
        run.operations.enumerated().map { position, operation in
            let isWhole = position == 0
            let times = operation.response
            return [
                isWhole ? Phrase.escaped(run.name) : "&nbsp;&nbsp;" + Phrase.escaped(operation.name),
                isWhole ? Phrase(run.answersPerSecond).html : "", isWhole ? Phrase(run.unitsPerSecond).html : "",
                Phrase(times.p50).html, Phrase(times.p90).html, Phrase(times.p99).html, Phrase(times.p999).html,
                Phrase(times.max).html, Phrase(operation.service.p99).html,
                isWhole ? run.serverMicrosPerUnit.map { Phrase($0).html } ?? "" : "", isWhole ? "\(run.wrong)" : "",
            ]
        }
    }

    private func details(_ run: RunSummary) -> String {
        let notices = run.notices.map {
            "<p class=\"notice\">\(Phrase.escaped(run.name)): \(Phrase.notice($0).html)</p>"
        }
        let parameters = Glossary.phrase(
            run.parameters.map { "\($0.name) \($0.value)" }.joined(separator: " · ")
        ).html
        return notices.joined()
            + "<p class=\"muted\">\(Phrase.escaped(run.name)) – \(Phrase.parameters.html): \(parameters)</p>"
    }

    private func parts(_ micro: [MicroResult]) -> String {
        let rows = micro.map { [Phrase.escaped($0.name), Phrase($0.nanos).html, $0.checksum] }
        return "<h2>\(Phrase.micro.html)</h2>" + Self.table(Phrase.microColumns, rows, text: [0])
    }

    // MARK: Plots

    private static func colour(_ position: Int) -> String { Plot.colours[position % Plot.colours.count] }

    private func key(_ runs: [RunSummary]) -> String {
        let entries = runs.enumerated().map { position, run in
            "<span class=\"c\" style=\"background:\(Self.colour(position))\"></span>\(Phrase.escaped(run.name))"
        }
        return "<p class=\"key\">\(entries.joined())</p>"
    }

    /// Percentiles lie apart as their distance from 100 halves, so that the end can be seen.
    private func percentilePlot(_ runs: [RunSummary]) -> Plot {
        let marks: [(percentile: Double, label: String)] = [
            (50, "50 %"), (90, "90 %"), (99, "99 %"), (99.9, "99.9 %"), (99.99, "99.99 %"), (99.999, "99.999 %"),
        ]
        let deepest = runs.flatMap { $0.operations[0].response.curve.map(\.percentile) }.filter { $0 < 100 }.max() ?? 99
        func line(_ times: TimeSummary, _ position: Int, _ name: String, isDashed: Bool) -> Plot.Series {
            Plot.Series(
                name: name, colour: Self.colour(position), isDashed: isDashed,
                points: times.curve.filter { $0.percentile < 100 }.map { (100 / (100 - $0.percentile), $0.micros) })
        }
        let series = runs.enumerated().flatMap { position, run -> [Plot.Series] in
            let all = run.operations[0]
            return [
                line(all.response, position, run.name, isDashed: false),
                line(all.service, position, run.name, isDashed: true),
            ]
        }
        let ticks = marks.filter { $0.percentile <= max(deepest, 99) }
        var plot = Plot(yLabel: { Self.time($0) }, series: series)
        (plot.xScale, plot.yScale) = (.logarithmic, .logarithmic)
        plot.xTicks = ticks.map { (place: 100 / (100 - $0.percentile), label: $0.label) }
        return plot
    }

    private func timePlot(
        _ runs: [RunSummary], isTime: Bool = false, _ value: (RunSummary.Moment) -> Double
    ) -> Plot {
        let series = runs.enumerated().map { position, run in
            Plot.Series(
                name: run.name, colour: Self.colour(position), points: run.timeline.map { ($0.second, value($0)) })
        }
        var plot = Plot(yLabel: { isTime ? Self.time($0) : Plot.tick($0) }, series: series)
        if isTime { plot.yScale = .logarithmic }
        return plot
    }

    private static func time(_ micros: Double) -> String {
        if micros >= 1e6 { return "\(Plot.tick(micros / 1e6)) s" }
        if micros >= 1000 { return "\(Plot.tick(micros / 1000)) ms" }
        return micros >= 1 ? "\(Plot.tick(micros)) µs" : "\(Plot.tick(micros * 1000)) ns"
    }

    /// - Parameter text: columns that hold words.
    private static func table(_ columns: [Phrase], _ rows: [[String]], text: Set<Int>) -> String {
        func cells(_ cells: [String], _ tag: String) -> String {
            cells.enumerated().map { "<\(tag)\(text.contains($0) ? " class=\"l\"" : "")>\($1)</\(tag)>" }.joined()
        }
        let body = rows.map { "<tr>\(cells($0, "td"))</tr>" }.joined(separator: "\n")
        return "<table><tr>\(cells(columns.map(\.html), "th"))</tr>\n\(body)</table>"
    }
}
