// SPDX-License-Identifier: Apache-2.0
#include <muster/wire/codec.hpp>

#include <fmt/format.h>

namespace muster::wire {
namespace {

Error refused(std::string_view manifest, std::string advice) {
    return {.code = Errc::invalid_argument,
            .subject = fmt::format("manifest \"{}\"", manifest.substr(0, Codec::manifest_bytes_max)),
            .advice = std::move(advice)};
}

Error unknown(std::string_view manifest) {
    return {.code = Errc::not_found,
            .subject = fmt::format("manifest \"{}\"", manifest.substr(0, Codec::manifest_bytes_max)),
            .advice = "register its type with Codec::add on this node"};
}

} // namespace

result<void> Codec::add_entry(std::string manifest, std::type_index type, Decode decoder) {
    if (manifest.empty()) return refused(manifest, "use a name that both sides know");
    if (manifest.size() > manifest_bytes_max)
        return refused(manifest, fmt::format("use at most {} bytes", manifest_bytes_max));
    if (!is_utf8(manifest)) return refused("(not UTF-8)", "use UTF-8");
    if (entries_.contains(manifest))
        return refused(manifest, "it names another type already: use each name once");
    if (const auto at = manifests_.find(type); at != manifests_.end())
        return refused(manifest, fmt::format("its type travels as \"{}\" already", at->second));
    const auto [at, added] = entries_.emplace(std::move(manifest), Entry{type, decoder});
    manifests_.emplace(type, at->first);
    return {};
}

result<std::string_view> Codec::manifest_of(std::type_index type) const {
    const auto at = manifests_.find(type);
    if (at == manifests_.end())
        return Error{.code = Errc::not_found,
                     .subject = fmt::format("type {}", type.name()),
                     .advice = "register it with Codec::add"};
    return at->second;
}

result<void> Codec::expect(std::string_view manifest, std::type_index type) const {
    const auto at = entries_.find(manifest);
    if (at == entries_.end()) return unknown(manifest);
    if (at->second.type == type) return {};
    return Error{.code = Errc::mismatch,
                 .subject = fmt::format("manifest \"{}\"", manifest),
                 .advice = "it names another type than the one asked for"};
}

result<AnyValue> Codec::decode(std::string_view manifest, std::span<const std::byte> payload) const {
    const auto at = entries_.find(manifest);
    if (at == entries_.end()) return unknown(manifest);
    auto value = at->second.decoder(payload, limits_);
    if (!value) return about(manifest, std::move(value).error());
    return value;
}

Error Codec::about(std::string_view manifest, Error error) {
    error.subject = fmt::format("manifest \"{}\", {}", manifest, error.subject);
    return error;
}

} // namespace muster::wire
