import ConsentIndex
import ConsentKernel
import Glibc
import Synchronization

/// Another process that maps the index of a folder, as tests start it: `IndexProbe <folder>`. Says that it reads by one
/// line, reads until its input ends, then prints what it saw as one line of JSON.
@main enum Probe {
    static func main() throws {
        let publication = try IndexPublication(
            mapping: IndexFolder(CommandLine.arguments[1]), keyCheck: WatchedClass.key.check)
        var watcher = Watcher(publication, seed: UInt64(System.processID))
        watcher.watch()
        print("{\"reading\":true}")
        fflush(nil)
        let isOver = IsOver()
        let input = Thread(name: "input") {
            while readLine() != nil {}
            isOver.value.store(true, ordering: .releasing)
        }
        while !isOver.value.load(ordering: .acquiring) { watcher.watch() }
        input.join()
        print(
            "{\"reads\":\(watcher.reads),\"granted\":\(watcher.granted),\"wrong\":\(watcher.wrong),"
                + "\"firstWrong\":\"\(watcher.firstWrong)\"}")
    }

    private final class IsOver: Sendable {
        let value = Atomic(false)
    }
}
