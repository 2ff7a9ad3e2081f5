import ConsentKernel
import Foundation
import Histogram

/// Percentile distributions in the text form that HdrHistogram's own tools plot (`.hgrm`), in milliseconds.
package enum HistogramFile {
    /// Writes `NAME.response.hgrm` and `NAME.service.hgrm`.
    ///
    /// - Parameter eachOperation: also writes those of each operation, if there are several.
    /// - Returns: the paths.
    package static func write(
        _ result: LoadResult, folder: String, name: String, eachOperation: Bool = false
    ) throws -> [String] {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var paths: [String] = []
        func write(_ latencies: Latencies, _ name: String) throws {
            for (kind, histogram) in [("response", latencies.response), ("service", latencies.service)] {
                var text = ""
                histogram.outputPercentileDistribution(to: &text, outputValueUnitScalingRatio: 1e6)
                let path = "\(folder)/\(name).\(kind).hgrm"
                try File.replace(path, with: Array(text.utf8))
                paths.append(path)
            }
        }
        try write(result.latencies, name)
        if eachOperation, result.operations.count > 1 {
            for (operation, latencies) in result.operations { try write(latencies, "\(name).\(operation.name)") }
        }
        return paths
    }
}
