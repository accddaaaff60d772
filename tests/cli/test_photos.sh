#!/bin/sh
# test_photos.sh PATH-OF-NFTOOL: pictures as cameras make them: JPEG, and of several sizes.
# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

photos=$root/tests/data/jpeg

# A network renders in the size of the image that it was fitted to.
if command -v python3 >/dev/null 2>&1; then
    python3 - <<'PNG'
import struct, zlib
def png(path, width, height):
    rows = b"".join(b"\0" + b"".join(bytes((12 * x, 19 * y % 256, 128)) for x in range(width)) for y in range(height))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                           chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
png("wide.png", 20, 13)
png("tall.png", 9, 24)
PNG
    run 0 fit wide.png --steps 5 -o wide.safetensors --quiet
    prints "1 network of 13 × 20 pixels"
    run 0 render wide.safetensors -o wide-again.png --json
    prints '"shape":[1,13,20,3]'
    run 0 render wide.safetensors -o wide-again.png --json --height 5 --width 6
    prints '"shape":[1,5,6,3]'

    # The widths may follow from a PSNR.
    "$nftool" fit wide.png tall.png --psnr 20 --steps 100 -o small.safetensors >out 2>err
    says " dB on the first images"
    check "few neurons are enough for few dB" grep -Eq 'widths 2,(8|12|16|24),' err
    "$nftool" fit wide.png tall.png --psnr 38 --steps 100 -o larger.safetensors >out 2>err
    python "more dB take more neurons, and are reached" '
small, larger = (read(name)["0.bias"][0][1] for name in ("small.safetensors", "larger.safetensors"))
assert small < larger
import re
assert float(re.search(r"mean PSNR ([0-9.]*) dB", open("out").read()).group(1)) > 37.9
'
    run 1 fit wide.png --psnr 200 --steps 2 -o x.safetensors
    says "--psnr is 200, but networks of up to 256 neurons a layer reach"
    run 1 fit wide.png --psnr 20 --widths 2,4,3 -o x.safetensors
    says "--psnr chooses the widths, which --widths says too; give one of them"

    # Images of several sizes are fitted as each would be by itself, and have their sizes.
    run 0 fit wide.png tall.png tall.png wide.png --steps 5 -o several.safetensors --quiet --views 2
    prints "several.safetensors: 8 networks of several sizes, mean PSNR"
    run 0 fit tall.png --steps 5 -o tall.safetensors --quiet
    python "each network is of its image" '
several = read("several.safetensors")
assert several["image_size"] == ([8, 2], (13, 20, 13, 20, 24, 9, 24, 9, 24, 9, 24, 9, 13, 20, 13, 20))
wide = read("wide.safetensors")
for name in wide:
    row = len(wide[name][1])
    assert several[name][1][:row] == wide[name][1], name
'
    run 0 render several.safetensors -o sheet.png --json
    prints '"shape":[8,24,20,3]'
    run 0 render several.safetensors -o single.png --json --first 3 --count 1
    prints '"shape":[1,24,9,3]'
    run 0 fit wide.png tall.png --first 1 --steps 5 -o second.safetensors --quiet
    prints "1 network of 24 × 9 pixels"
    run 0 render second.safetensors -o single.png --json
    prints '"shape":[1,24,9,3]'
fi

# JPEG, if the program has it.
"$nftool" fit "$photos/colours.jpg" --steps 1 -o x.safetensors >out 2>err
if grep -q "built without" err; then
    run 1 fit "$photos/grey.jpg" -o x.safetensors
    says "grey.jpg: is a JPEG file, which this program was built without (libjpeg)"
    finish
    exit
fi
run 0 fit "$photos/grey.jpg" --steps 5 -o grey.safetensors --quiet
prints "1 network of 13 × 20 pixels"
run 0 render grey.safetensors -o grey.png --json
prints '"shape":[1,13,20,1]'
run 0 render "$photos/colours.jpg" -o colours.png
run 0 render "$photos/progressive.jpg" -o progressive.png
python "pixels are those that were stored" '
for name in "colours.png", "progressive.png":
    found = pixels(name, 13, 20, 3)
    for y in range(13):
        for x in range(20):
            for c, value in enumerate((12 * x, 19 * y, 128)):
                assert abs(found[(20 * y + x) * 3 + c] - value) <= 12, (name, x, y, c)
'
run 0 fit "$photos/grey.jpg" "$photos/colours.jpg" --steps 1 -o x.safetensors --quiet
run 1 fit "$photos/cmyk.jpg" -o y.safetensors
says "cmyk.jpg: is no JPEG file that can be read: "
head -c 500 "$photos/colours.jpg" >cut.jpg
run 1 fit cut.jpg -o y.safetensors
says "cut.jpg: is no JPEG file that can be read: Premature end"
check "nothing is left of it" test ! -e y.safetensors
run 1 info "$photos/grey.jpg"
says "it is a JPEG image; nftool fit makes networks of images"

finish
