import ConsentKernel
import ConsentTestSupport

extension TemporaryFolder {
    var names: [String] { ((try? File.names(in: path)) ?? []).sorted() }

    /// Descriptors of this process that are open on something in the folder. Other tests have theirs elsewhere.
    var openCount: Int { openDescriptors { $0.hasPrefix(path + "/") } }
}

/// How many of this process's descriptors lead to something.
func openDescriptors(_ isCounted: (String) -> Bool) -> Int {
    let names = (try? File.names(in: "/proc/self/fd")) ?? []
    return names.count { name in (try? File.linkTarget("/proc/self/fd/\(name)")).map(isCounted) ?? false }
}

/// Names what a descriptor leads to, such as `socket:[1234]`, whatever its number.
func kernelName(_ raw: Int32) -> String { (try? File.linkTarget("/proc/self/fd/\(raw)")) ?? "none" }

/// The error that a call throws; nil if it throws none.
func failure(_ body: () throws(SystemError) -> Void) -> SystemError? {
    do {
        try body()
        return nil
    } catch {
        return error
    }
}
