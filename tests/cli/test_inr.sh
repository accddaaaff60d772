#!/bin/sh
# shellcheck disable=SC2015,SC2016
# Tests of nftool fit and nftool render: test_inr.sh PATH-OF-NFTOOL. Prints a line for each failed check, then "N passed, N failed".
# Where INTERPOSED names the library of interposed.c, fits are also killed.
set -u

# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

# The golden fits, from an IDX file and from safetensors.
fit=$golden/siren_fit
rgb=$golden/siren_fit_rgb
run 0 render "$fit/init.safetensors" -o begun.safetensors --height 9 --width 8
run 0 fit "$fit/images-idx3-ubyte" -o fitted.safetensors --init "$fit/init.safetensors" --steps 30 --lr 0.001 --json
check "--json has a line for each network and one for all" test "$(wc -l <out)" -eq 4
prints '{"index":2,"loss":'
prints '"psnr":'
prints '{"mean_psnr":'
run 0 render fitted.safetensors -o ended.safetensors --height 9 --width 8 --json
keys output shape
prints '"shape":[3,9,8,1]'
python "siren_fit agrees with the golden file" "
got, ended, begun, expected = read('fitted.safetensors'), read('ended.safetensors'), read('begun.safetensors'), read('$fit/expected.safetensors')
for name in expected:
    if not name.startswith('rendered'):
        agree(got[name], expected[name], 1e-3, 5e-4)
agree(ended['rendered'], expected['rendered'], 1e-3, 5e-4)
agree(begun['rendered'], expected['rendered_init'], 1e-4, 5e-5)"
run 0 fit "$fit/images.safetensors" -o same.safetensors --init "$fit/init.safetensors" --steps 30 --lr 1e-3 --schedule constant
check "IDX and safetensors are the same images" cmp fitted.safetensors same.safetensors
run 0 fit "$rgb/images.safetensors" -o fitted.safetensors --init "$rgb/init.safetensors" --steps 20 --lr 0.001
python "siren_fit_rgb agrees with the golden file" "
got, expected = read('fitted.safetensors'), read('$rgb/expected.safetensors')
for name in expected:
    if not name.startswith('rendered'):
        agree(got[name], expected[name], 1e-3, 5e-4)"

# A network that is not a number is told of, and is not in the mean.
cp "$fit/init.safetensors" nan.safetensors
printf '\000\000\300\177' | dd of=nan.safetensors bs=4 seek=$(($(wc -c <nan.safetensors) / 4 - 1)) conv=notrunc 2>/dev/null
"$nftool" fit "$fit/images-idx3-ubyte" -o fitted.safetensors --init nan.safetensors --steps 30 >out 2>err
says "warning: 1 of 3 networks diverged to weights that are not finite"
check "the mean is that of the others" grep -q 'mean PSNR [0-9.]* dB' out

printf '\000\000\010\003\000\000\000\001\000\000\000\002\000\000\000\002\001\000\001\001' >unit
"$nftool" fit unit -o fitted.safetensors --steps 1 >out 2>err
says "warning: no colour is more than 1 of 255"

# Fresh networks: seeds, threads and batches; labels and views.
images=$fit/images-idx3-ubyte
printf '\000\000\010\001\000\000\000\003\007\000\002' >labels
run 0 fit "$images" -o a.safetensors --steps 4 --labels labels
prints "a.safetensors: 3 networks of 9 × 8 pixels, mean PSNR"
run 0 info a.safetensors
prints "data set"
prints "label"
run 0 fit "$images" -o b.safetensors --steps 4 --labels labels --threads 1 --batch-size 1
check "threads and batch size do not change a bit" cmp a.safetensors b.safetensors
run 0 fit "$images" -o b.safetensors --steps 4 --labels labels --seed 1
check "another seed gives other networks" sh -c '! cmp -s a.safetensors b.safetensors'
run 0 fit "$images" -o b.safetensors --steps 4 --labels labels --schedule cosine
check "another schedule gives other networks" sh -c '! cmp -s a.safetensors b.safetensors'
run 0 fit "$images" -o v.safetensors --steps 2 --labels labels --views 2 --widths 2,8,1 --quiet
python "views repeat labels and number their images" "
got = read('v.safetensors')
assert got['label'] == ([6], (7, 7, 0, 0, 2, 2)) and got['image'] == ([6], (0, 0, 1, 1, 2, 2))
assert got['0.weight'][0] == [6, 8, 2]
rows = [got['0.weight'][1][16 * n:16 * n + 16] for n in range(6)]
assert len(set(rows)) == 6"
run 0 fit "$images" -o part.safetensors --steps 2 --labels labels --views 2 --widths 2,8,1 --first 1 --count 1 --batch-size 1
prints "part.safetensors: 2 networks of"
python "--first and --count give a part of the same networks" "
whole, part = read('v.safetensors'), read('part.safetensors')
assert part['label'] == ([2], (0, 0)) and part['image'] == ([2], (1, 1))
for name in whole:
    each = len(whole[name][1]) // 6
    assert part[name][1] == whole[name][1][2 * each:4 * each]"
run 0 fit "$images" -o part.safetensors --steps 2 --first 2 --count 9
prints "part.safetensors: 1 network of"
run 1 fit "$images" -o part.safetensors --steps 2 --first 3
says "holds 3 images, the first is 0; --first is 3"

# One start for all networks, the same for every choice of images; without updates that move a weight they are equal.
set -- --steps 1 --shared-init --widths 2,8,1 --quiet
run 0 fit "$images" -o s.safetensors "$@" --lr 1e-30
run 0 fit "$images" -o part.safetensors "$@" --lr 1e-30 --first 1 --count 2 --batch-size 1
python "networks with a common start" "
whole, part = read('s.safetensors'), read('part.safetensors')
for name in ('0.weight', '0.bias', '1.weight', '1.bias'):
    each = len(whole[name][1]) // 3
    assert whole[name][1] == 3 * whole[name][1][:each] and part[name][1] == 2 * whole[name][1][:each]
data = open('s.safetensors', 'rb').read()
header = json.loads(data[8:8 + struct.unpack('<Q', data[:8])[0]])
settings = json.loads(header['__metadata__']['nft.fit'])
assert settings['shared_init'] is True and settings['seed'] == 0"
run 0 fit "$images" -o s.safetensors "$@"
python "networks with a common start differ after an update" "
x = read('s.safetensors')['0.weight'][1]
assert x[:16] != x[16:32]"
run 1 fit "$images" -o x.safetensors "$@" --views 2
says "--shared-init makes the 2 views of an image equal"
run 1 fit "$images" -o x.safetensors "$@" --init s.safetensors
says "--shared-init draws the network that all begin with, and --init gives it"
# A model of networks of one start refuses those of another.
cat >start.json <<'END'
{"model": {"format_version": 1, "space": {"layers": [{"type": "linear", "in": 2, "out": 8}, {"type": "linear", "in": 8, "out": 1}]},
  "modules": [{"type": "np_pool"}, {"type": "linear", "out_features": 10}]},
 "train": "s.safetensors", "loss": "cross_entropy", "optimizer": {"type": "adam"}, "batch_size": 2, "steps": 1}
END
run 0 fit "$images" --labels labels -o s.safetensors "$@"
run 0 fit "$images" --labels labels -o other.safetensors "$@" --seed 1
run 0 train start.json -o start.safetensors --quiet
run 0 evaluate start.safetensors s.safetensors
run 1 evaluate start.safetensors other.safetensors
says 'its networks have fit {"seed":1} by its metadata, those of the model'"'"'s training set fit {"seed":0}'

# Products of bf16, here those of the portable kernels: other networks, which fit as well. A resumed fit keeps its precision.
set -- --steps 60 --widths 2,16,16,1
NFT_KERNELS=portable_avx512_bf16
export NFT_KERNELS
run 0 fit "$images" -o f.safetensors "$@" --json
mv out f.json
run 0 fit "$images" -o b.safetensors "$@" --json --precision bf16
mv out b.json
run 0 fit "$images" -o c.safetensors "$@" --precision bf16 --threads 1 --batch-size 1 --quiet
check "networks of bf16 do not depend on threads and batches" cmp b.safetensors c.safetensors
check "bf16 gives other networks" sh -c '! cmp -s f.safetensors b.safetensors'
python "bf16 fits as well" "
psnr = lambda name: [json.loads(line)['psnr'] for line in list(open(name))[:3]]
assert all(abs(a - b) < 1 for a, b in zip(psnr('f.json'), psnr('b.json')))"
unset NFT_KERNELS
run 2 fit "$images" -o x.safetensors "$@" --precision half
says "--precision"

# One sign and phase: the same pictures, the same bits the second time, from every copy the same neurons.
sirens=$examples/mnist-sirens.safetensors
run 0 canonicalize "$sirens" -o canonical.safetensors
prints "canonical.safetensors: 60 networks in canonical form"
run 0 canonicalize canonical.safetensors -o again.safetensors --json
prints '"networks":60'
keys output networks
check "the canonical form is its own" cmp canonical.safetensors again.safetensors
run 0 render "$sirens" -o before.safetensors
run 0 render canonical.safetensors -o after.safetensors
unnoted=$golden/siren_fit/init.safetensors # no metadata says its omega
run 0 canonicalize "$unnoted" -o same.safetensors
run 0 canonicalize "$unnoted" -o other.safetensors --omega 20
check "another omega gives another form" sh -c '! cmp -s same.safetensors other.safetensors'
run 0 permute "$sirens" -o permuted.safetensors --seed 4
run 0 canonicalize permuted.safetensors -o canonical-permuted.safetensors
run 0 permute canonical.safetensors -o permuted-canonical.safetensors --seed 4
check "it does not depend on the neurons' order" cmp canonical-permuted.safetensors permuted-canonical.safetensors
python "the canonical form keeps names, labels and the function" "
old, new, before, after = read('$sirens'), read('canonical.safetensors'), read('before.safetensors'), read('after.safetensors')
assert set(old) == set(new) and old['label'] == new['label'] and old['net.0.linear.weight'] != new['net.0.linear.weight']
assert max(abs(a - b) for a, b in zip(before['rendered'][1], after['rendered'][1])) < 1e-5"
run 0 canonicalize --help
prints "--omega W"
run 2 canonicalize "$sirens" -o x.safetensors --omega 0
run 2 canonicalize "$sirens"
run 1 canonicalize "$examples/fashion-cnns.safetensors" -o x.safetensors
says "fashion-cnns.safetensors: expected SIRENs"
says "conv2d"
run 0 fit "$images" -o c.safetensors --steps 4 --labels labels --canonical
run 0 canonicalize a.safetensors -o b.safetensors
check "fit --canonical is fit and canonicalize" cmp b.safetensors c.safetensors

# The frequency is given once: files that are made of these networks have it.
run 0 fit "$images" -o slow.safetensors --steps 20 --omega 5 --labels labels
run 0 info slow.safetensors
prints "omega      5"
run 0 info slow.safetensors --json
prints '"omega":5.0'
run 0 canonicalize slow.safetensors -o slow-canonical.safetensors
run 0 permute slow-canonical.safetensors -o slow-permuted.safetensors --layers 0,1,2
run 0 info slow-permuted.safetensors
prints "label"
run 0 canonicalize "$unnoted" -o told.safetensors --omega 2.05e1
run 0 info told.safetensors
prints "omega      20.5"
run 1 canonicalize told.safetensors -o x.safetensors --omega 20
run 0 canonicalize told.safetensors -o told-again.safetensors --omega 20.5
check "and keeps the given frequency" cmp told.safetensors told-again.safetensors
run 0 render slow.safetensors -o before.safetensors
run 0 render slow-permuted.safetensors -o after.safetensors --omega 5
python "networks of another frequency stay as they were" "
before, after = read('before.safetensors')['rendered'][1], read('after.safetensors')['rendered'][1]
assert max(abs(a - b) for a, b in zip(before, after)) < 1e-5"
run 0 fit "$images" -o slower.safetensors --steps 20 --init slow-permuted.safetensors
run 0 info slower.safetensors
prints "omega      5"
run 1 canonicalize slow-permuted.safetensors -o x.safetensors --omega 30
says "slow-permuted.safetensors: its networks have omega 5 by its metadata, --omega says 30"
run 1 render slow.safetensors -o x.png --omega 30
run 1 fit "$images" -o x.safetensors --init slow.safetensors --omega 30
safetensors mad.safetensors '{"__metadata__":{"nft.omega":"fast"},"a.weight":{"dtype":"F32","shape":[1,1,2],"data_offsets":[0,8]},"a.bias":{"dtype":"F32","shape":[1,1],"data_offsets":[8,12]}}' '\000\000\000\000\000\000\000\000\000\000\000\000'
run 1 render mad.safetensors -o x.png
says "mad.safetensors: 'nft.omega' of its metadata is 'fast', expected a positive number"
run 0 info mad.safetensors
check "which is not told of as one" sh -c '! grep -q ^omega out'

# Each layer may have its own frequency, and the output an offset.
run 0 fit "$images" -o layers.safetensors --steps 20 --widths 2,6,5,1 --omega 30,2 --offset 0.5
run 0 info layers.safetensors
prints "omega      30,2"
prints "offset     0.5"
run 0 info layers.safetensors --json
prints '"omega":[30.0,2.0]'
run 0 render layers.safetensors -o before.safetensors --height 4 --width 5
run 0 canonicalize layers.safetensors -o layers-canonical.safetensors
run 0 render layers-canonical.safetensors -o after.safetensors --height 4 --width 5 --omega 30,2,2 --offset .5
run 0 fit "$images" -o after-fit.safetensors --steps 1 --lr 1e-30 --init layers.safetensors
run 0 render after-fit.safetensors -o same.safetensors --height 4 --width 5
python "networks with a frequency for each layer and an offset follow the formula" "
net, rendered = read('layers.safetensors'), read('before.safetensors')['rendered'][1]
after, same = read('after.safetensors')['rendered'][1], read('same.safetensors')['rendered'][1]
def layer(x, n, i, omega):
    w, b = net['%d.weight' % i][1], net['%d.bias' % i][1]
    out, into = (6, 5, 1)[i], (2, 6, 5)[i]
    y = [b[n * out + o] + sum(w[(n * out + o) * into + k] * x[k] for k in range(into)) for o in range(out)]
    return [math.sin(omega * v) for v in y] if omega else y
for i, value in enumerate(rendered):
    n, y, x = i // 20, i // 5 % 4, i % 5
    h = layer([2 * y / 3 - 1, 2 * x / 4 - 1], n, 0, 30)
    expected = layer(layer(h, n, 1, 2), n, 2, 0)[0] + 0.5
    assert abs(value - expected) < 2e-5
    assert abs(after[i] - expected) < 2e-5
    assert abs(same[i] - expected) < 2e-5"
run 1 render layers.safetensors -o x.png --omega 30
says "its networks have omega 30,2 by its metadata, --omega says 30"
run 1 render layers.safetensors -o x.png --offset 0
says "its networks have offset 0.5 by its metadata, --offset says 0"

# The models of digits that the examples use know the canonical form that fit gives, and give the same results as before.
digits=$examples/digits-idx3-ubyte.gz
run 0 fit "$digits" --labels "$examples/digits-labels-idx1-ubyte.gz" --canonical --count 50 -o digits.safetensors
run 0 evaluate "$examples/digit-classifier.safetensors" digits.safetensors --json
check "the classifier is right about nine of ten" sh -c 'sed "s/.*\"accuracy\":\([0-9.]*\).*/\1/" out | awk "{ exit !(\$1 >= 0.9) }"'
run 0 evaluate "$examples/digit-encoder.safetensors" digits.safetensors --json
check "the encoder's reconstructions are near" sh -c 'sed "s/.*\"psnr\":\([0-9.]*\).*/\1/" out | awk "{ exit !(\$1 >= 18) }"'
run 0 forward "$examples/digit-editor.safetensors" digits.safetensors -o bolder.safetensors
run 0 render bolder.safetensors -o bolder-rendered.safetensors --count 20
python "the editor's digits are near to dilated ones" "
import gzip
images, edited = gzip.open('$digits').read()[16:], read('bolder-rendered.safetensors')['rendered'][1]
total = 0
for n in range(20):
    for y in range(28):
        for x in range(28):
            near = max(images[784 * n + 28 * b + a] for b in range(max(y - 1, 0), min(y + 2, 28)) for a in range(max(x - 1, 0), min(x + 2, 28)))
            total += (edited[784 * n + 28 * y + x] - (near / 127.5 - 1)) ** 2
assert total / (20 * 784) < 0.12"

# killed_fit N OUT OPTION …: a fit that is killed when N networks are finished. The first fsync is that of the header, and each network
# counts after its own.
killed_fit() {
    env LD_PRELOAD="$INTERPOSED" KILLED=fsync KILLED_AT=$(($1 + 2)) "$nftool" fit "$images" -o "$2" --batch-size 1 --threads 1 --quiet \
        --steps 100 --views 2 --canonical --labels labels >out 2>err &
    wait $! 2>/dev/null
    check "killed when $1 networks are finished" test $? -eq 137
}

# An interruption: finished networks stay and are not fitted again.
set -- --steps 100 --views 2 --canonical --labels labels
run 0 fit "$images" -o whole.safetensors "$@" --quiet
if [ -n "${INTERPOSED:-}" ]; then
    finished=4
    killed_fit $finished cut.safetensors
    cp cut.safetensors.partial hurt.safetensors.partial
    cp cut.safetensors.partial old.safetensors.partial
    run 1 fit "$images" -o cut.safetensors --steps 101
    says "was begun with other images or options"
    "$nftool" fit "$images" -o cut.safetensors "$@" >out 2>err
    says "$finished of 6 networks are finished already"
    # Network 0 with another number and the checksum of that: a fit that did it again would not come to it.
    if command -v python3 >/dev/null 2>&1; then
        python3 -c 'import struct, zlib
data = bytearray(open("old.safetensors.partial", "rb").read())
at, sizes = 4096, [64, 32, 1024, 32, 32, 1, 1]
struct.pack_into("<f", data, at + 6 * 4 * sum(sizes[:5]), 0.125)
crc = zlib.crc32(struct.pack("<q", 0))
for i, size in enumerate(sizes):
    begin = at + 6 * 4 * sum(sizes[:i])
    crc = zlib.crc32(data[begin:begin + 4 * size], crc)
struct.pack_into("<I", data, at + 6 * 4 * sum(sizes), crc)
open("marked.safetensors.partial", "wb").write(data)'
        "$nftool" fit "$images" -o marked.safetensors "$@" >out 2>err
        says "$finished of 6 networks are finished already"
        python "finished networks are not fitted again" "
marked, whole = read('marked.safetensors'), read('whole.safetensors')
assert marked['2.bias'][1][0] == 0.125 != whole['2.bias'][1][0] and marked['2.bias'][1][1:] == whole['2.bias'][1][1:]
assert marked['1.weight'] == whole['1.weight']"
    fi
    # The numbers of network 3, of which each has 64 in the first layer.
    printf 'odd!' | dd of=hurt.safetensors.partial bs=4 seek=$((4096 / 4 + 3 * 64 + 5)) conv=notrunc 2>/dev/null
    "$nftool" fit "$images" -o hurt.safetensors "$@" >out 2>err
    says "hurt.safetensors.partial: is damaged from network 3 on"
    says "3 of 6 networks are finished already"
    check "damaged networks are fitted again" cmp whole.safetensors hurt.safetensors
    head -c "$(($(wc -c <old.safetensors.partial) - 10))" old.safetensors.partial >short.safetensors.partial
    "$nftool" fit "$images" -o short.safetensors "$@" >out 2>err
    check "networks that were cut off are fitted again" cmp whole.safetensors short.safetensors
    printf '\001' | dd of=old.safetensors.partial bs=1 seek=7 conv=notrunc 2>/dev/null
    cp old.safetensors.partial before
    run 1 fit "$images" -o old.safetensors "$@"
    says "old.safetensors.partial: another version of nftool began this fit"
    check "the file of another version stays" cmp before old.safetensors.partial
    rm old.safetensors.partial
    check "an interrupted fit ends as an uninterrupted one" cmp whole.safetensors cut.safetensors
    check "no partial file is left" test ! -e cut.safetensors.partial

    # A power failure may leave only the size.
    killed_fit 0 zero.safetensors
    head -c "$(wc -c <zero.safetensors.partial)" /dev/zero >zeros
    mv zeros zero.safetensors.partial
    run 0 fit "$images" -o zero.safetensors "$@"
    check "a file without a header begins again" cmp whole.safetensors zero.safetensors

    # A default may be given.
    killed_fit 1 cut.safetensors
    "$nftool" fit "$images" -o cut.safetensors "$@" --lr 0.001 --omega 30 >out 2>err
    says "1 of 6 networks are finished already"
    check "it resumes" cmp whole.safetensors cut.safetensors
fi

# One that could not begin is in nobody's way.
(
    trap '' XFSZ
    ulimit -f 0
    exec "$nftool" fit "$images" -o begun.safetensors "$@" --quiet 2>&1
) | cat >err
says "begun.safetensors.partial: cannot write"
check "a fit that could not begin leaves nothing" test ! -e begun.safetensors.partial

printf 'something else' >odd.safetensors.partial
run 1 fit "$images" -o odd.safetensors
says "is not the file of an interrupted fit; give another --output"
rm odd.safetensors.partial

# Impossible requests.
run 2 fit "$images"
echo "this is a text" >text
run 1 fit text -o x.safetensors
says "text: is neither an IDX file, nor PNG, JPEG or safetensors"
cp "$fit/images.safetensors" own.safetensors
run 1 fit own.safetensors -o own.safetensors
says "own.safetensors: is also an input; give -o another file"
run 1 fit own.safetensors --labels own.safetensors --init labels -o labels
says "labels: is also an input"
check "no input was touched" cmp own.safetensors "$fit/images.safetensors"
run 2 fit "$images" -o x.safetensors --lr 0
run 2 fit "$images" -o x.safetensors --lr fast
run 2 fit "$images" -o x.safetensors --lr 1e7
says "--lr is '1e7', expected a number above 0 and at most 1000000"
run 2 fit "$images" -o x.safetensors --omega 1e-40
says "--omega is '1e-40', expected a number from 1e-6 to 1000000, or up to 16 with commas between"
run 2 fit "$images" -o x.safetensors --omega 30,
run 2 fit "$images" -o x.safetensors --omega 30,0
run 2 fit "$images" -o x.safetensors --omega 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1
run 1 fit "$images" -o x.safetensors --omega 30,1,1,1
says "there are 4 numbers of omega, expected one, or at most one for each of 3 layers"
run 2 fit "$images" -o x.safetensors --offset half
says "--offset is 'half', expected a number"
run 2 fit "$images" -o x.safetensors --widths 2,99999999999,1
says "expected 2 … 64 numbers from 1 to 2147483647"
run 2 fit "$images" -o x.safetensors --widths 2,a,1
run 2 fit "$images" -o x.safetensors --schedule linear
run 1 fit "$images" -o x.safetensors --widths 3,8,1
says "expected 2 first"
run 1 fit "$images" -o x.safetensors --widths 2,8,3
run 1 fit absent -o x.safetensors
says "absent"
run 1 fit . -o x.safetensors
run 1 fit labels -o x.safetensors
says "expected bytes, (N, height, width)"
run 1 fit "$images" -o x.safetensors --labels "$images"
says "expected a label for each of 3 images"
run 1 fit "$images" -o x.safetensors --labels a.safetensors --init v.safetensors
says "holds 6 networks"
run 1 fit "$images" -o x.safetensors --init "$rgb/init.safetensors"
run 1 fit "$images" -o x.safetensors --init "$examples/fashion-cnns.safetensors"
says "nftool: --init $examples/fashion-cnns.safetensors: expected SIRENs, networks of linear layers only, but layer 0 is"
run 1 fit labels -o x.safetensors
says "in 1 dimension, expected"
run 1 fit "$images" "$images" -o x.safetensors
says "only one can be given"
run 1 fit a.safetensors -o x.safetensors
says "images"
run 1 fit "$images" -o x.safetensors --labels absent
says "absent: cannot open"
run 1 fit "$images" -o x.safetensors --labels v.safetensors
says "v.safetensors: has 6 labels for 3 images"
run 0 fit "$images" -o unlabelled.safetensors --steps 1
run 1 fit "$images" -o x.safetensors --labels unlabelled.safetensors
says "unlabelled.safetensors: there is no tensor 'label'"
echo "no images" >text
run 1 fit text -o x.safetensors
says "text: "
gzip -c text >text.gz
run 1 fit text.gz -o x.safetensors
says "text.gz: "
printf '\000\000\010\003\377\377\377\377\000\000\000\034\000\000\000\034' | gzip -c >many.gz
run 1 fit many.gz -o x.safetensors
says "many.gz: ends too soon: it is shorter than its header says"
gzip -c "$images" | head -c 60 >cut.gz
run 1 fit cut.gz -o x.safetensors
says "cut.gz: "
head -c 100 "$images" >short
run 1 fit short -o x.safetensors
says "its header says"
check "no file is left by failures" sh -c '[ -z "$(ls | grep "^x\.")" ]'

# Rendering.
run 0 render a.safetensors -o sheet.png --height 6 --width 5
prints "sheet.png: 3 networks at 6 × 5"
run 0 fit sheet.png -o sheet.safetensors --steps 1 --widths 2,4,1
prints "1 network of 12 × 10 pixels"
run 0 render sheet.safetensors -o one.png --width 7
run 0 fit one.png -o one.safetensors --steps 1
prints "1 network of 7 × 7 pixels"
run 0 fit one.png one.png -o two.safetensors --steps 1
prints "2 networks of 7 × 7 pixels"
run 0 fit one.png sheet.png -o x.safetensors --steps 1
prints "2 networks of several sizes"
run 0 render a.safetensors -o r1.safetensors --threads 1 --batch-size 1
run 0 render a.safetensors -o r2.safetensors --threads 2
check "threads and batch size do not change a bit" cmp r1.safetensors r2.safetensors
run 2 render a.safetensors -o x.png --height 0
run 2 render a.safetensors -o x.png --omega none
run 2 render a.safetensors -o x.jpg
says "x.jpg', expected a name that ends in .png or .safetensors"
run 1 render labels -o x.png
says "expected bytes, (N, height, width)"
run 1 render "$examples/fashion-cnns.safetensors" -o x.png
run 1 render a.safetensors -o absent/x.png
python "a pixel is round(255 (x/2 + 1/2)), clamped" "
import subprocess
subprocess.run(['$nftool', 'render', 'a.safetensors', '-o', 'f.safetensors', '--height', '6', '--width', '5'], check=True)
values, sheet = read('f.safetensors')['rendered'][1], pixels('sheet.png', 12, 10)
for n in range(4):
    for y in range(6):
        for x in range(5):
            expected = 0
            if n < 3:
                expected = int(min(max(255 * (values[(n * 6 + y) * 5 + x] / 2 + 0.5), 0), 255) + 0.5)
            assert sheet[(n // 2 * 6 + y) * 10 + n % 2 * 5 + x] == expected"
check "no file is left by failures" test ! -e x.png -a ! -e x.jpg
check "no temporary file is left" sh -c '[ "$(find . -name "*.tmp" | wc -l)" -eq 0 ]'

# The form of the networks is compared with the training set's, and repaired where possible.
cat >contract.json <<'END'
{"model": {"format_version": 1, "space": {"layers": [{"type": "linear", "in": 2, "out": 4}, {"type": "linear", "in": 4, "out": 1}]},
  "modules": [{"type": "np_pool"}, {"type": "linear", "out_features": 2}]},
 "train": "canonical.safetensors", "loss": "cross_entropy", "optimizer": {"type": "adam"}, "batch_size": 2, "steps": 2}
END
run 0 fit "$examples/digits-idx3-ubyte.gz" --labels "$examples/digits-labels-idx1-ubyte.gz" --count 4 --widths 2,4,1 --steps 3 -o raw.safetensors
run 0 fit "$examples/digits-idx3-ubyte.gz" --labels "$examples/digits-labels-idx1-ubyte.gz" --count 4 --widths 2,4,1 --steps 3 --omega 20 -o slow.safetensors
python "labels of two classes" "
for name in ('raw', 'slow'):
    data = bytearray(open(name + '.safetensors', 'rb').read())
    header = json.loads(data[8:8 + struct.unpack('<Q', data[:8])[0]])
    begin, end = (8 + struct.unpack('<Q', data[:8])[0] + at for at in header['label']['data_offsets'])
    data[begin:end] = struct.pack('<%dq' % ((end - begin) // 8), *[n % 2 for n in range((end - begin) // 8)])
    open(name + '.safetensors', 'wb').write(data)
    assert json.loads(header['__metadata__']['nft.fit'])['steps'] == 3
    assert header['__metadata__']['nft.image'] == '28,28,1'"
run 0 canonicalize raw.safetensors -o canonical.safetensors
run 0 train contract.json -o contract.safetensors --quiet
run 0 evaluate contract.safetensors canonical.safetensors --json
mv out expected
run 1 evaluate contract.safetensors raw.safetensors
says "'nftool canonicalize raw.safetensors -o NEW'"
run 1 forward contract.safetensors raw.safetensors -o x.safetensors
says "its networks have no canonical form by its metadata"
run 0 evaluate contract.safetensors raw.safetensors --json --prepare
check "prepared networks are evaluated like canonical ones" cmp out expected
# Networks of another space are refused for that, whatever their form.
for command in "forward" "evaluate"; do
    run 1 $command contract.safetensors "$examples/mnist-sirens.safetensors"
    says "layer 0 of the networks is linear 2 → 32, expected linear 2 → 4"
done
# A training that continues from a model takes data like those of the earlier one.
echo '{"model": "contract.safetensors", "train": "canonical.safetensors", "loss": "cross_entropy", "optimizer": {"type": "adam"}, "batch_size": 2, "steps": 2}' \
    >further.json
run 0 train further.json -o x.safetensors --quiet
run 1 train further.json -o x.safetensors --train raw.safetensors
says "the training set has no nft.canonical in its metadata, that of the model's earlier training has 'sign-phase'"
run 1 evaluate contract.safetensors slow.safetensors
says "its networks have omega 20 by its metadata, those of the model's training set omega 30"
run 0 evaluate contract.safetensors slow.safetensors --prepare
run 0 forward contract.safetensors raw.safetensors -o x.safetensors --prepare
# An offset is moved into the last biases, classes and fits must be the same where both sides say them.
python "the same networks with other texts" "
def with_texts(out, last, **texts):
    data = open('canonical.safetensors', 'rb').read()
    size = struct.unpack('<Q', data[:8])[0]
    header, body = json.loads(data[8:8 + size]), bytearray(data[8 + size:])
    header['__metadata__'].update({'nft.' + key: text for key, text in texts.items()})
    begin, end = header['1.bias']['data_offsets']
    body[begin:end] = struct.pack('<%df' % ((end - begin) // 4), *[v + last for v in struct.unpack('<%df' % ((end - begin) // 4), body[begin:end])])
    text = json.dumps(header).encode()
    open(out, 'wb').write(struct.pack('<Q', len(text)) + text + body)
with_texts('offset.safetensors', -0.5, offset='0.5')
with_texts('refit.safetensors', 0, fit='{\"steps\": 4, \"lr\": 0.001, \"schedule\": \"constant\"}')
with_texts('cats.safetensors', 0, classes='[\"cat\", \"dog\"]')
with_texts('dogs.safetensors', 0, classes='[\"dog\", \"cat\"]')"
run 1 evaluate contract.safetensors offset.safetensors
says "its networks have offset 0.5 by its metadata, those of the model's training set offset 0: --prepare moves it"
run 0 forward contract.safetensors canonical.safetensors -o plain-scores.safetensors
run 0 forward contract.safetensors offset.safetensors -o offset-scores.safetensors --prepare
python "an offset is prepared" "
a, b = read('plain-scores.safetensors')['output'][1], read('offset-scores.safetensors')['output'][1]
assert max(abs(x - y) for x, y in zip(a, b)) < 1e-5 and max(map(abs, a)) > 1e-3"
run 1 evaluate contract.safetensors refit.safetensors
says 'its networks have fit {"steps":4} by its metadata, those of the model'"'"'s training set fit {"steps":3}'
run 0 evaluate contract.safetensors refit.safetensors --any-fit
run 0 forward contract.safetensors refit.safetensors -o refit-scores.safetensors --any-fit
run 0 forward contract.safetensors canonical.safetensors -o plain-scores.safetensors
run 0 train contract.json -o x.safetensors --validation refit.safetensors --any-fit --quiet
run 1 train contract.json -o x.safetensors --validation refit.safetensors
says "nft.fit"
run 0 evaluate contract.safetensors cats.safetensors
sed 's/canonical.safetensors/cats.safetensors/' contract.json >cats.json
run 0 train cats.json -o cats-model.safetensors --quiet
run 0 evaluate cats-model.safetensors canonical.safetensors
run 1 evaluate cats-model.safetensors dogs.safetensors
says "the model knows other classes"
run 1 train contract.json -o x.safetensors --validation raw.safetensors
says "nft.canonical"
# A validation set of another form, frequency and offset is prepared: its loss is that of the same networks as they should be.
run 0 train contract.json -o x.safetensors --validation canonical.safetensors --json
grep validation_loss out >expected
run 0 train contract.json -o x.safetensors --validation raw.safetensors --json --prepare
grep validation_loss out >found
check "networks of another form are prepared for training" cmp found expected
run 0 canonicalize slow.safetensors -o slow-canonical.safetensors
run 1 train contract.json -o x.safetensors --train slow-canonical.safetensors --validation canonical.safetensors
says "nft.omega '30' in its metadata, the first of the training set has '20'"
run 0 train contract.json -o x.safetensors --validation slow.safetensors --json --prepare
python "another frequency and offset change no loss" "
import subprocess
def loss(validation, *more):
    lines = subprocess.run(['$nftool', 'train', 'contract.json', '-o', 'x.safetensors', '--validation', validation, '--json', *more], capture_output=True, text=True, check=True).stdout
    return next(json.loads(line)['validation_loss'] for line in lines.splitlines() if 'validation_loss' in line)
def rescaled(name, out, omega, offset):
    data = open(name, 'rb').read()
    size = struct.unpack('<Q', data[:8])[0]
    header, body = json.loads(data[8:8 + size]), bytearray(data[8 + size:])
    for tensor, factor, added in (('0.weight', 30 / omega, 0), ('0.bias', 30 / omega, 0), ('1.bias', 1, -offset)):
        begin, end = header[tensor]['data_offsets']
        form = '<%df' % ((end - begin) // 4)
        body[begin:end] = struct.pack(form, *[v * factor + added for v in struct.unpack(form, body[begin:end])])
    header['__metadata__'].update({'nft.omega': str(omega), 'nft.offset': str(offset)})
    text = json.dumps(header).encode()
    open(out, 'wb').write(struct.pack('<Q', len(text)) + text + body)
rescaled('canonical.safetensors', 'rescaled.safetensors', 12, 0.25)
a, b = loss('canonical.safetensors'), loss('rescaled.safetensors', '--prepare')
assert abs(a - b) < 1e-5 * a, (a, b)
assert subprocess.run(['$nftool', 'train', 'contract.json', '-o', 'x.safetensors', '--validation', 'rescaled.safetensors'], capture_output=True).returncode == 1"
run 0 render canonical.safetensors -o before.safetensors
run 0 render rescaled.safetensors -o after.safetensors
run 1 render rescaled.safetensors -o prepared.safetensors --omega 30
run 0 render rescaled.safetensors -o prepared.safetensors --omega 30 --offset 0 --prepare
printf '{"format_version": 1, "parts": [{"file": "canonical.safetensors", "count": 4}, {"file": "rescaled.safetensors", "count": 4}]}' >both.json
run 0 canonicalize both.json -o both-canonical.json
run 0 render both-canonical-1.safetensors -o after-canonical.safetensors
run 1 render both.json -o both.safetensors
run 0 render both.json -o both.safetensors --prepare
python "networks are rendered alike, as they are and prepared" "
before, after, prepared, both = (read(name + '.safetensors')['rendered'][1] for name in ('before', 'after', 'prepared', 'both'))
for other in (after, prepared, read('after-canonical.safetensors')['rendered'][1], both[:len(before)], both[len(before):]):
    assert len(before) == len(other) and max(abs(x - y) for x, y in zip(before, other)) < 1e-4
assert max(map(abs, before)) > 0.1"
rm -f x.safetensors x.safetensors.*

finish
