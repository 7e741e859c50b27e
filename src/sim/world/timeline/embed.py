#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes one C++ source of the timeline's page, so that the library carries it.

    embed.py OUT PAGE.html STYLE.css SCRIPT.js...

@STYLE@ and @SCRIPT@ in the page are filled in; @TITLE@ and @DATA@ are left to write_timeline(), once each and in this order.
"""
import pathlib
import sys


def read(name):
    return pathlib.Path(name).read_text(encoding='utf-8')


def whole_page(page, style, scripts):
    script = '\n'.join(read(name).replace("'use strict';\n", '') for name in scripts)
    script = "'use strict';\n" + script
    if '</script' in script.lower() or '</style' in read(style).lower():
        sys.exit('embed.py: a script or style would end its own element')
    text = read(page).replace('@STYLE@', read(style)).replace('@SCRIPT@', script)
    for marker in ('@TITLE@', '@DATA@'):
        if text.count(marker) != 1:
            sys.exit(f'embed.py: {marker} must be there once')
    return text


def as_source(text):
    numbers = [str(byte) for byte in text.encode('utf-8')]
    lines = [', '.join(numbers[i:i + 24]) for i in range(0, len(numbers), 24)]
    return ('#include "world/timeline/page.hpp"\n\nnamespace muster::sim {\n\n'
            'namespace {\n\nconst unsigned char page_bytes[] = {\n' + ',\n'.join(lines) + '};\n\n} // namespace\n\n'
            'std::string_view timeline_page() noexcept {\n'
            '    return {reinterpret_cast<const char*>(page_bytes), sizeof page_bytes};\n}\n\n} // namespace muster::sim\n')


def main(out, page, style, *scripts):
    pathlib.Path(out).write_text(as_source(whole_page(page, style, scripts)), encoding='utf-8')


if __name__ == '__main__':
    main(*sys.argv[1:])
