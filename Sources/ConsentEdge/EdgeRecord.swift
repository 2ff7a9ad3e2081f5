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
    private let known: Mutex<(upstream: String?, deployment: ID16?)>
    private static let heading = "consentd-edge 1"

    package static func path(in folder: String) -> String { folder + "/edge" }

    package init(_ folder: EdgeFolder) {
        path = Self.path(in: folder.path)
        let text = (try? File.read(path, sizeMax: 4096)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let lines = text.split(separator: "\n")
        func value(_ name: String) -> String? {
            guard lines.first == Self.heading[...] else { return nil }
            return lines.last { $0.hasPrefix(name + " ") }.map { String($0.dropFirst(name.count + 1)) }
        }
        known = Mutex((value("upstream"), value("deployment").flatMap { ID16(hex: $0) }))
    }

    /// Of the nodes that were followed here; nil before the first.
    var deployment: ID16? { known.withLock { $0.deployment } }

    /// Marks the folder as an edge's.
    ///
    /// - Returns: whether it is another upstream that was followed here last; that one stays the last until
    ///   ``keep(_:of:)``.
    func begin(upstream: SocketAddress) throws(SystemError) -> Bool {
        let folder = String(path.dropLast("/edge".count))
        try File.createDirectory(folder)
        let isNew = known.withLock { known in
            defer { known.upstream = known.upstream ?? "\(upstream)" }
            return known.upstream.map { $0 != "\(upstream)" } ?? false
        }
        try write()
        return isNew
    }

    /// What cannot be kept now is kept when it is told again.
    ///
    /// - Parameter upstream: the one that is followed; nil while that is not sure.
    func keep(_ deployment: ID16, of upstream: SocketAddress?) {
        let isNews = known.withLock { known in
            let before = known
            known.deployment = deployment
            if let upstream { known.upstream = "\(upstream)" }
            return before != known
        }
        if isNews { try? write() }
    }

    private func write() throws(SystemError) {
        let (upstream, deployment) = known.withLock { $0 }
        var lines = [Self.heading]
        if let upstream { lines.append("upstream \(upstream)") }
        if let deployment { lines.append("deployment \(deployment)") }
        try File.replace(path, with: Array((lines.joined(separator: "\n") + "\n").utf8))
    }
}
