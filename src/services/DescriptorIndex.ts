/**
 * What protobuf files declare: which file has a symbol, which one an extension.
 *
 * Descriptors name only their own contents, so the questions of a reflection client ("who declares this?") need an index
 * over all of them. It knows the files it is given and everything they import, and whatever has a full name there:
 * messages, fields, oneofs, enums, enum values, extensions, services and methods, nested as they may be.
 */
import type { DescFile } from "@bufbuild/protobuf"
import type { DescriptorProto, EnumDescriptorProto, FieldDescriptorProto } from "@bufbuild/protobuf/wkt"

/**
 * An index of files by what they declare. Names are full names without a leading dot.
 *
 * @category models
 * @since 0.1.0
 */
export interface DescriptorIndex {
  /** By the name a file was compiled under. */
  readonly file: (name: string) => DescFile | undefined
  readonly declaring: (symbol: string) => DescFile | undefined
  readonly extending: (message: string, number: number) => DescFile | undefined
  /** In ascending order. */
  readonly extensionNumbers: (message: string) => ReadonlyArray<number>
}

/** Files and everything they import. Of two files of one name the first is taken. */
const withImports = (files: Iterable<DescFile>): ReadonlyMap<string, DescFile> => {
  const found = new Map<string, DescFile>()
  const visit = (file: DescFile): void => {
    if (found.has(file.proto.name)) return
    found.set(file.proto.name, file)
    file.dependencies.forEach(visit)
  }
  for (const file of files) visit(file)
  return found
}

/**
 * Indexes files and what they import. Where two files declare the same name, the first is taken.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (roots: Iterable<DescFile>): DescriptorIndex => {
  const files = withImports(roots)
  const symbols = new Map<string, DescFile>()
  const extensions = new Map<string, Map<number, DescFile>>()

  const addFile = (file: DescFile): void => {
    const { proto } = file
    const declare = (name: string): void => {
      if (!symbols.has(name)) symbols.set(name, file)
    }
    const addExtension = (field: FieldDescriptorProto, scope: string): void => {
      declare(scope + field.name)
      const message = field.extendee.replace(/^\./, "")
      const numbers = extensions.get(message) ?? new Map<number, DescFile>()
      extensions.set(message, numbers)
      if (!numbers.has(field.number)) numbers.set(field.number, file)
    }
    const addEnum = (desc: EnumDescriptorProto, scope: string): void => {
      declare(scope + desc.name)
      // A value is its enum's sibling, not its child.
      for (const value of desc.value) declare(scope + value.name)
    }
    const addMessage = (desc: DescriptorProto, scope: string): void => {
      declare(scope + desc.name)
      const inside = `${scope}${desc.name}.`
      for (const field of desc.field) declare(inside + field.name)
      for (const oneof of desc.oneofDecl) declare(inside + oneof.name)
      for (const message of desc.nestedType) addMessage(message, inside)
      for (const child of desc.enumType) addEnum(child, inside)
      for (const extension of desc.extension) addExtension(extension, inside)
    }

    const scope = proto.package === "" ? "" : `${proto.package}.`
    for (const message of proto.messageType) addMessage(message, scope)
    for (const desc of proto.enumType) addEnum(desc, scope)
    for (const extension of proto.extension) addExtension(extension, scope)
    for (const service of proto.service) {
      declare(scope + service.name)
      for (const method of service.method) declare(`${scope}${service.name}.${method.name}`)
    }
  }
  for (const file of files.values()) addFile(file)

  return {
    file: (name) => files.get(name),
    declaring: (symbol) => symbols.get(symbol),
    extending: (message, number) => extensions.get(message)?.get(number),
    extensionNumbers: (message) => [...(extensions.get(message)?.keys() ?? [])].sort((a, b) => a - b)
  }
}
