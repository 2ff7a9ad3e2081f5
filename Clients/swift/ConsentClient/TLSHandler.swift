import ConsentTLS
import NIOCore

/// Opens what comes on a channel, and seals what goes.
final class TLSHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let session: TLSSession

    init(_ session: TLSSession) { self.session = session }

    func channelActive(context: ChannelHandlerContext) {
        writeSealed(context)
        context.flush()
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let sealed = unwrapInboundIn(data)
        sealed.withUnsafeReadableBytes { session.take($0) }
        // What is opened is never longer than what was sealed; a record that had begun may end here.
        var opened = context.channel.allocator.buffer(capacity: sealed.readableBytes + TLSSession.recordSizeMax)
        var isOver = false
        opened.writeWithUnsafeMutableBytes(minimumWritableBytes: opened.capacity) { room in
            switch session.open(into: room) {
            case .bytes(let count): return count
            case .over:
                isOver = true
                return 0
            }
        }
        writeSealed(context)
        context.flush()
        if opened.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(opened)) }
        guard isOver || session.isOver else { return }
        if let failure = session.failure { context.fireErrorCaught(failure) } else { context.close(promise: nil) }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        unwrapOutboundIn(data).withUnsafeReadableBytes { session.seal($0) }
        // Before the peer is known the session keeps it.
        guard session.hasOutgoing else { return promise?.succeed(()) ?? () }
        writeSealed(context, promise)
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        session.close()
        writeSealed(context)
        context.flush()
        context.close(mode: mode, promise: promise)
    }

    private func writeSealed(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>? = nil) {
        session.send { sealed in
            context.write(wrapOutboundOut(context.channel.allocator.buffer(bytes: sealed)), promise: promise)
            return sealed.count
        }
    }
}
