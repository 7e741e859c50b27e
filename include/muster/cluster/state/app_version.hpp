// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The version of the application a member runs (protocol.md §1.7). Membership only transports it.
#include <array>
#include <compare>
#include <cstdint>
#include <muster/error.hpp>
#include <string>
#include <string_view>

namespace muster {

class AppVersion {
public:
    /// 0.0.0
    AppVersion();
    /// Errors: Errc::invalid_argument for an empty text or more than three dotted numbers.
    static result<AppVersion> parse(std::string_view text);
    const std::string& text() const noexcept { return text_; }

    friend std::strong_ordering operator<=>(const AppVersion& a, const AppVersion& b) noexcept;
    /// Compares by meaning: "1.2" == "1.2.0".
    friend bool operator==(const AppVersion& a, const AppVersion& b) noexcept { return (a <=> b) == 0; }

private:
    std::string text_;
    std::array<std::int64_t, 4> numbers_{}; ///< major, minor, patch, commit distance
    std::string rest_;                      ///< what follows; no rest is greater than any
};

} // namespace muster
