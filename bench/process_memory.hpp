// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The memory use of this process, from Linux's /proc.
#include <fstream>
#include <string>
#include <unistd.h>

namespace muster::bench {

/// Resident memory of this process.
inline double resident_bytes() {
    std::ifstream file("/proc/self/statm");
    double pages = 0, resident = 0;
    file >> pages >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

/// Resets the peak of peak_resident_bytes().
inline void forget_peak() { std::ofstream("/proc/self/clear_refs") << 5; }

/// The peak of the resident memory since forget_peak().
inline double peak_resident_bytes() {
    std::ifstream file("/proc/self/status");
    for (std::string key; file >> key;) {
        double kibibytes = 0;
        if (key == "VmHWM:" && file >> kibibytes) return kibibytes * 1024;
    }
    return 0;
}

} // namespace muster::bench
