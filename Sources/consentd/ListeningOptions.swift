import ArgumentParser
import ConsentEngine
import ConsentKernel
import ConsentServer
import ConsentTLS
import Foundation

/// How a node listens, and what it lets clients do.
struct ListeningOptions: ParsableArguments {
    @Option(help: "File with the token to ask for, mode 0600 [default: 'token' in the node's folder].")
    var tokenFile: String?

    @Option(
        help: """
            Address to listen on, host:port, or tls:host:port; may be repeated. 'none' leaves the Unix socket only.
            """)
    var listen: [String] = ["127.0.0.1:7411"]

    @Option(
        help: """
            File with the server's certificate, and those that lead from it to a known authority (PEM). Read again when \
            it changes.
            """)
    var tlsCertificate: String?

    @Option(help: "File with the certificate's private key (PEM), which others may not read.")
    var tlsKey: String?

    @Option(help: "Threads that serve connections [default: one per processor].")
    var loops: Int?

    @Option(help: "Processor of the first of these threads; the next ones follow.")
    var pin: Int?

    @Option(
        help: """
            Microseconds that each of these threads looks for requests before it sleeps. Answers come sooner, and each \
            thread takes up to a whole processor while it is asked.
            """)
    var spinMicros = 0

    @Option(help: "Connections at the most.")
    var maxConnections = 10_000

    @Option(help: "Requests of one connection that may be unanswered, checks and pings excepted.")
    var maxInFlight = 1024

    @Option(help: "Seconds after which a connection that says nothing is closed.")
    var idleSeconds = 300

    @Option(help: "Seconds within which a connection must shake hands.")
    var handshakeSeconds = 10

    @Option(help: "Milliseconds that connections may take to finish when the server drains.")
    var drainMillis: UInt32 = 5000

    func validate() throws {
        if let loops, !(1...256).contains(loops) { throw ValidationError("--loops is 1 to 256") }
        if !(0...1_000_000).contains(spinMicros) { throw ValidationError("--spin-micros is 0 to 1000000") }
        guard maxConnections > 0, maxInFlight > 0, idleSeconds > 0, handshakeSeconds > 0 else {
            throw ValidationError("limits are greater than zero")
        }
        guard (tlsCertificate == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-certificate and --tls-key belong together")
        }
        let isTLS = try addresses().contains(where: \.isTLS)
        if isTLS, tlsKey == nil {
            throw ValidationError("--listen tls:… needs the files of --tls-certificate and --tls-key")
        }
        if !isTLS, tlsKey != nil {
            throw ValidationError("a certificate needs --listen tls:host:port, to be shown there")
        }
    }

    /// Takes as many descriptors as the system gives, and says so where they are too few.
    func raiseDescriptorsMax() {
        System.raiseDescriptorsMax()
        if System.descriptorsMax < maxConnections {
            Output.error(
                "consentd: this process may have \(System.descriptorsMax) files and connections open, fewer than "
                    + "--max-connections; raise 'ulimit -n'")
        }
    }

    func options(in folder: NodeFolder) throws -> ServerOptions {
        let local = SocketAddress.unix(path: folder.socketPath)
        var options = ServerOptions(addresses: try addresses() + [local], version: version)
        options.token = try readToken(tokenFile, in: folder)
        if let tlsCertificate, let tlsKey {
            options.tls = try TLSIdentity(certificates: tlsCertificate, key: tlsKey) { Output.error("consentd: \($0)") }
        }
        if let loops { options.loops = loops }
        options.firstProcessor = pin
        options.spinMicros = spinMicros
        options.connectionsMax = maxConnections
        options.requestsInFlightMax = maxInFlight
        options.idleSecondsMax = idleSeconds
        options.handshakeSecondsMax = handshakeSeconds
        options.drainMillis = drainMillis
        return options
    }

    private func addresses() throws -> [SocketAddress] {
        try listen.filter { $0 != "none" }.map {
            try readAddress($0, of: "--listen", zero: "0.0.0.0 stands for all of this machine")
        }
    }
}

/// Reads where a server is: as ``readAddress(_:of:forms:zero:)``, and `unix:/path`.
func readServer(_ text: String, of option: String, zero: String) throws -> SocketAddress {
    guard text.hasPrefix("unix:") else {
        return try readAddress(text, of: option, forms: "host:port, tls:host:port or unix:/path", zero: zero)
    }
    let path = text.dropFirst("unix:".count)
    guard !path.isEmpty else {
        throw ValidationError("\(option): '\(text)' names no socket, such as unix:/run/consentd.sock")
    }
    return .unix(path: String(path))
}

/// Reads `host:port`, and the same with `tls:` before it.
///
/// - Parameters:
///   - option: that it was given by, for the message.
///   - forms: what it may look like, for the message.
///   - zero: what else there is to say of addresses.
func readAddress(
    _ text: String, of option: String, forms: String = "host:port or tls:host:port", zero: String
) throws -> SocketAddress {
    let isTLS = text.hasPrefix("tls:")
    let rest = isTLS ? text.dropFirst(4) : text[...]
    guard let colon = rest.lastIndex(of: ":"), let port = UInt16(rest[rest.index(after: colon)...]) else {
        throw ValidationError("\(option): '\(text)' is not \(forms), with a port from 0 to 65535")
    }
    let host = rest[..<colon]
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    guard host == "localhost" || (parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }) else {
        throw ValidationError("\(option): '\(host)' is not an IPv4 address such as 127.0.0.1; \(zero)")
    }
    return isTLS ? .tls(host: String(host), port: port) : .tcp(host: String(host), port: port)
}

/// What the server at an address must prove; nil where it is reached without TLS.
///
/// - Throws: ``Failure`` if the file of authorities cannot be read.
func tlsPeer(of address: SocketAddress, name: String?, authorities: String?) throws -> TLSPeer? {
    guard case .tls(let host, _) = address else { return nil }
    do throws(TLSFailure) {
        let authorities = authorities ?? ProcessInfo.processInfo.environment["CONSENTD_TLS_CA"]
        return try TLSPeer(name: name ?? host, authorities: authorities)
    } catch {
        throw Failure(code: Exit.failed, message: error.description)
    }
}
