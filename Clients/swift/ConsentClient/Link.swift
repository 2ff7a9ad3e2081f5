import ConsentTLS
import ConsentWire
import NIOCore

/// One connection: its channel, the conversation on it, and the calls in flight.
///
/// `@unchecked Sendable`: touched on the channel's event loop alone, which is the client's.
final class Link: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer

    /// Written in one piece where more waits; enough for a system call to cost little beside it.
    private static let outputSizeMax = 256 * 1024

    let channel: any Channel
    private let dispatcher: Dispatcher
    private(set) var conversation: Conversation
    private(set) var calls: [UInt32: Call] = [:]
    /// Whether something came since this was last set to false.
    var hasReceived = false
    let madeAt = NIODeadline.now()
    var heartbeat: RepeatedTask?
    private var isOver = false
    /// Why TLS ended, if that is what ended it.
    private(set) var failure: TLSFailure?

    init(_ conversation: consuming Conversation, on channel: any Channel, of dispatcher: Dispatcher) {
        self.conversation = conversation
        self.channel = channel
        self.dispatcher = dispatcher
    }

    /// Whether more may be handed to it now. The stream slows down a client that asks faster than the server answers.
    func canSend() -> Bool {
        if conversation.output.count >= Self.outputSizeMax { flush() }
        return !isOver && channel.isWritable
    }

    func send(_ call: Call, purposes: PurposeTable) throws(UnknownPurpose) {
        let id = try conversation.send(call.request, purposes: purposes)
        calls[id] = call
        call.place = (self, id)
    }

    func abandon(_ call: Call) {
        guard let (_, id) = call.place else { return }
        call.place = nil
        calls[id] = nil
        conversation.abandon(id)
    }

    /// The calls in flight in the order in which they were sent, which nobody will answer any more.
    func takeCalls() -> [Call] {
        // Counted from the next id, which wraps, the oldest comes first.
        let next = conversation.nextRequest
        let ordered = calls.keys.sorted { $0 &- next < $1 &- next }
        let taken = ordered.compactMap { calls[$0] }
        calls = [:]
        for call in taken { call.place = nil }
        return taken
    }

    func flush() {
        guard !conversation.output.isEmpty else { return }
        let buffer = channel.allocator.buffer(bytes: conversation.output.bytes)
        conversation.clearOutput()
        channel.writeAndFlush(buffer, promise: nil)
    }

    /// What comes from now on is not read. The channel itself closes in the next turn of the loop, so that whoever calls
    /// this can first say what becomes of the calls, and ``channelInactive(context:)`` finds that done.
    func close() {
        isOver = true
        heartbeat?.cancel()
        channel.eventLoop.execute { self.channel.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isOver { return }
        hasReceived = true
        let events = unwrapInboundIn(data).withUnsafeReadableBytes { conversation.receive($0) }
        for event in events where !isOver { handle(event) }
    }

    private func handle(_ event: Conversation.Event) {
        switch event {
        case .answered(let id, let answer):
            if let call = calls.removeValue(forKey: id) {
                call.place = nil
                dispatcher.answered(call, answer, on: self)
            }
        case .refused(let id, let error):
            if let call = calls.removeValue(forKey: id) {
                call.place = nil
                dispatcher.refused(call, error, on: self)
            }
        case .welcomed(let welcome): dispatcher.welcomed(self, welcome)
        case .turnedAway(let error): dispatcher.turnedAway(self, error)
        case .goingAway: dispatcher.retire(self)
        case .catalogChanged: dispatcher.catalogChanged()
        case .ended(let error): dispatcher.ended(self, error)
        case .broken(let violation): dispatcher.broken(self, violation)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { dispatcher.pump() }

    func channelWritabilityChanged(context: ChannelHandlerContext) { dispatcher.pump() }

    func channelInactive(context: ChannelHandlerContext) {
        isOver = true
        heartbeat?.cancel()
        dispatcher.closed(self)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure = error as? TLSFailure
        context.close(promise: nil)
    }
}
