import Testing
@testable import ConsentClient
