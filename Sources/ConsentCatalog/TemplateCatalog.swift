/// A catalog to begin with: a customer club of three Nordic companies that do not exist.
package enum TemplateCatalog {
    package static var text: String { String(decoding: PackageResources.template_catalog_yaml, as: UTF8.self) }
}
