/// Every limit of a catalog's text in one place. How many purposes there can be stands in the model's `Limit`.
enum CatalogLimit {
    /// 900 KiB: a catalog travels to a node in one protocol frame, which holds 1 MiB, and needs room for its header.
    static let textSizeMax = 900 * 1024
    static let idSizeMax = 64
    static let revisionNameSizeMax = 32
    /// A postal address in full, with its country: a dozen lines.
    static let addressSizeMax = 512
    /// What every browser and server takes.
    static let urlSizeMax = 2048
    /// Ages of consent are 13 to 16 years and ages of sale at most 21; more than 99 is a slip of the keyboard.
    static let minimumAgeMax = 99
    /// Texts quoted in messages, in characters.
    static let quotationLengthMax = 60
    /// Nobody reads a fiftieth suggestion, and each compares a text with every known name.
    static let suggestionsMax = 50
    /// Yams must not be given less: it keeps a pointer into the text, and a text of up to 15 bytes has no storage of
    /// its own for it to point to.
    static let yamlSizeMin = 16
}
