import ConsentKernel
package import ConsentSync
import ConsentWire
import Synchronization

/// What an edge remembers of whom it follows, in a file that also says that the folder is an edge's:
///
///     consentd-edge 1
///     upstream 10.0.0.1:7411
///     deployment 000102030405060708090a0b0c0d0e0f
package final class EdgeRecord: Sendable {
    private let path: String
    private let known: Mutex<(upstream: String, deployment: ID16?)>
    private static let heading = "consentd-edge 1"

    package static func path(in folder: String) -> String { folder + "/edge" }

    package init(_ folder: EdgeFolder) {
        path = Self.path(in: folder.path)
        let text = (try? File.read(path, sizeMax: 4096)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let lines = text.split(separator: "\n")
        var deployment: ID16?
        if lines.first == Self.heading[...] {
            for line in lines where line.hasPrefix("deployment ") {
                deployment = ID16(hex: String(line.dropFirst("deployment ".count)))
            }
        }
        known = Mutex(("", deployment))
    }

    /// Of the nodes that were followed here; nil before the first.
    var deployment: ID16? { known.withLock { $0.deployment } }

    /// Marks the folder as an edge's.
    func begin(upstream: SocketAddress) throws(SystemError) {
        let folder = String(path.dropLast("/edge".count))
        try File.createDirectory(folder)
        known.withLock { $0.upstream = "\(upstream)" }
        try write()
    }

    /// What cannot be kept now is kept when it is told again.
    func keep(_ deployment: ID16) {
        guard self.deployment != deployment else { return }
        known.withLock { $0.deployment = deployment }
        try? write()
    }

    private func write() throws(SystemError) {
        let (upstream, deployment) = known.withLock { $0 }
        var lines = [Self.heading, "upstream \(upstream)"]
        if let deployment { lines.append("deployment \(deployment)") }
        try File.replace(path, with: Array((lines.joined(separator: "\n") + "\n").utf8))
    }
}
