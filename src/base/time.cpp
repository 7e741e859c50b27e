// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fmt/format.h>
#include <muster/time.hpp>

namespace muster {

std::string to_utc(WallTime time) {
    using namespace std::chrono;
    constexpr sys_time<milliseconds> first = sys_days{year{0} / January / 1};
    constexpr sys_time<milliseconds> last = sys_days{year{10'000} / January / 1} - milliseconds{1};
    const auto shown = std::clamp(sys_time<milliseconds>{milliseconds{time.ms}}, first, last);
    const auto day = floor<days>(shown); // not a cast: before 1970 that would round up
    const year_month_day date{day};
    const hh_mm_ss<milliseconds> clock{shown - day};
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                       clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                       clock.subseconds().count());
}

} // namespace muster
