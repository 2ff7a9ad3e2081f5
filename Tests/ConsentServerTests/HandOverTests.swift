import ConsentModel
import ConsentServer
import ConsentTestSupport
import ConsentWire
import Testing

/// How a session leaves a connection to the feed.
struct HandOverTests {
    private let server: VectorServer

    init() throws { server = try VectorServer() }

    private func subscribe(request: UInt32 = 9) -> [UInt8] {
        var output = OutputBuffer(capacity: 64)
        SubscribeRequest().encode(request: request, into: &output)
        return Array(output.bytes)
    }

    @Test func fromSubscribeOnNothingIsTaken() {
        let driver = server.greeted()
        let rest = subscribe() + Bytes.ping(3, request: 4)
        #expect(driver.feed(Bytes.ping(1, request: 2) + rest).map(\.kind) == [.pong])
        #expect(driver.session.phase == .handedOver)
        #expect(driver.pending == rest)
        #expect(driver.feed(Bytes.ping(5, request: 6)).isEmpty)
    }

    @Test func whoWaitsForAnswersCannotSubscribe() throws {
        let driver = server.greeted()
        let answers = driver.feed(Bytes.record([sampleGrant(customer: "a")], request: 2) + subscribe())
        #expect(answers.map(\.errorCode) == [.subscribeTooLate])
        #expect(answers.first?.request == 9)
        _ = driver.performActions()
        #expect(driver.feed(subscribe()).isEmpty && driver.session.phase == .handedOver)
    }

    @Test func aDrainingServerTakesNoSubscription() {
        let driver = server.greeted()
        _ = driver.drain(graceMillis: 1)
        #expect(driver.feed(subscribe()).map(\.errorCode) == [.shuttingDown])
    }

    @Test func aSubscriptionBeforeTheHandshakeIsRefused() {
        #expect(server.connect().feed(subscribe()).map(\.errorCode) == [.helloExpected])
    }

    @Test func aBrokenSubscriptionIsRefusedAndTheConnectionGoesOn() throws {
        for vector in try Vector.file("sync/subscribe.broken.json") {
            let driver = server.greeted()
            let answers = driver.feed(vector.bytes + Bytes.ping(1, request: 2))
            #expect(answers.count == 2, "\(vector)")
            #expect(try answers.first?.errorCode.map { "\($0)" } == vector.json["error"].text, "\(vector)")
        }
    }

    @Test func whatOnlyAnEdgeSaysNeedsASubscription() {
        var output = OutputBuffer(capacity: 64)
        TakeSnapshotRequest().encode(request: 5, into: &output)
        Enforced(sequence: 1, stamp: 1, time: Timestamp(millis: 1)).encode(into: &output)
        let answers = server.greeted().feed(Array(output.bytes) + Bytes.ping(1, request: 2))
        #expect(answers.map(\.errorCode) == [.subscribeExpected, .subscribeExpected, nil])
    }
}
