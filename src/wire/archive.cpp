// SPDX-License-Identifier: Apache-2.0
#include <muster/wire/archive.hpp>

#include <exception>
#include <fmt/format.h>

namespace muster::wire::detail {

namespace {
std::string place(std::size_t offset) { return fmt::format("byte {}", offset); }
} // namespace

void refuse(std::size_t offset, std::string_view why) {
    fail(Errc::malformed, place(offset), std::string{why});
}

void refuse_count(std::size_t offset, std::uint64_t count, std::size_t remaining) {
    fail(Errc::malformed, place(offset),
         fmt::format("the count {} cannot be held by the {} bytes that follow", count, remaining));
}

void refuse_end(std::size_t offset, std::size_t need, std::size_t remaining) {
    fail(Errc::malformed, place(offset),
         fmt::format("{} bytes are needed here and {} are left", need, remaining));
}

void refuse_save(std::string_view what, std::string_view why) {
    fail(Errc::invalid_argument, std::string{what}, std::string{why});
}

Error error_of_current_exception(Errc otherwise, std::string_view subject) {
    try {
        throw;
    } catch (Failure& failure) {
        return std::move(failure.error());
    } catch (const std::bad_alloc&) {
        return Error{.code = Errc::no_memory, .subject = std::string{subject}, .advice = "free some memory"};
    } catch (const std::exception& e) {
        return Error{.code = otherwise,
                     .subject = std::string{subject},
                     .advice = fmt::format("its serialize() threw: {}", e.what())};
    } catch (...) {
        return Error{.code = otherwise,
                     .subject = std::string{subject},
                     .advice = "its serialize() threw something that is no std::exception"};
    }
}

void CharCodec::save(OArchive& ar, char32_t value) {
    const auto code = static_cast<std::uint32_t>(value);
    const auto tail = [&ar, code](unsigned shift) {
        ar.put_byte(static_cast<std::uint8_t>(0x80U | (code >> shift & 0x3fU)));
    };
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        refuse_save(fmt::format("the character U+{:04X}", code), "use a Unicode scalar value");
    if (code < 0x80) return ar.put_byte(static_cast<std::uint8_t>(code));
    if (code < 0x800) {
        ar.put_byte(static_cast<std::uint8_t>(0xc0U | code >> 6U));
    } else if (code < 0x10000) {
        ar.put_byte(static_cast<std::uint8_t>(0xe0U | code >> 12U));
        tail(6);
    } else {
        ar.put_byte(static_cast<std::uint8_t>(0xf0U | code >> 18U));
        tail(12);
        tail(6);
    }
    tail(0);
}

void CharCodec::load(IArchive& ar, char32_t& value) {
    const auto at = ar.offset();
    std::array<char, 4> bytes{static_cast<char>(ar.get_byte())};
    const auto lead = static_cast<unsigned char>(bytes[0]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    for (std::size_t i = 1; i < length; ++i) bytes[i] = static_cast<char>(ar.get_byte());
    if (!is_utf8({bytes.data(), length})) refuse(at, "this character is not UTF-8");
    std::uint32_t code = length == 1 ? lead : lead & (0xffU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i)
        code = code << 6U | (static_cast<unsigned char>(bytes[i]) & 0x3fU);
    value = static_cast<char32_t>(code);
}

} // namespace muster::wire::detail
