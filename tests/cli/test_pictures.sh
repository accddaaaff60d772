#!/bin/sh
# shellcheck disable=SC2016
# Tests of the losses between images, in nftool train and nftool evaluate, and of nftool render with several operands: test_pictures.sh
# PATH-OF-NFTOOL. Prints a line for each failed check, then "N passed, N failed".
set -u

# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

# Of a build with sanitizers: memory that Cairo's fonts keep to the end is no leak of the program.
LSAN_OPTIONS=suppressions=$root/tests/lsan.supp:print_suppressions=0
export LSAN_OPTIONS

# The golden trainings.
mkdir render reconstruction
for loss in render reconstruction; do
    cp "$golden/train_$loss/model.safetensors" "$golden/train_$loss/data.safetensors" $loss
done
common='"model": "model.safetensors", "train": "data.safetensors", "batch_size": 3, "steps": 6, "shuffle": false'
echo "{$common, \"loss\": \"render\", \"optimizer\": {\"type\": \"adam\", \"eps\": 1e-5}, \"omega\": 30}" >render/recipe.json
echo "{$common, \"loss\": \"reconstruction\", \"optimizer\": {\"type\": \"adamw\", \"eps\": 1e-5}, \"grad_clip\": 1,
 \"schedule\": {\"type\": \"cosine\", \"warmup_steps\": 2, \"total_steps\": 6}}" >reconstruction/recipe.json
run 0 train reconstruction/recipe.json -o trained.safetensors --json
prints '"loss":0.038279'
for loss in render reconstruction; do
    run 0 train $loss/recipe.json -o $loss/trained.safetensors --json
    python "nftool train follows the golden training of loss $loss" "
steps, golden = [json.loads(line) for line in open('out')], json.load(open('$golden/train_$loss/train.json'))
for step, loss, norm in zip(steps, golden['expected_losses'], golden['expected_grad_norms']):
    assert abs(step['loss'] - loss) <= 1e-4 * loss and abs(step['grad_norm'] - norm) <= 1e-4 * norm
assert len(steps) == len(golden['expected_losses'])
got, expected = read('$loss/trained.safetensors'), read('$golden/train_$loss/trained.safetensors')
for name in expected:
    agree(got[name], expected[name], 1e-3, 5e-4)"
done

# The results of a validation: for people, in JSON, log and picture.
run 0 train render/recipe.json -o trained.safetensors --validation render/data.safetensors --validate-every 2 --log log.jsonl --plot curves.svg
prints "step 6: loss 0.3809"
prints ", PSNR 10.01 dB, the lowest so far"
check "of each validation with its PSNR" test "$(grep -c '"validation_loss":.*"psnr":10\.*[0-9]*,"best":true\|"validation_loss":.*"psnr":9.99[0-9]*,"best":true' log.jsonl)" -eq 3
check "the learning curves are drawn" grep -q '</svg>' curves.svg
python "its PSNR is 10 log10(4 / loss)" "
validations = [line for line in map(json.loads, open('log.jsonl')) if 'validation_loss' in line]
for line in validations:
    assert abs(line['psnr'] - 10 * math.log10(4 / line['validation_loss'])) < 1e-4"
check "the curves have more than the loss" test "$(grep -o 'height="[0-9]*' curves.svg | head -n 1 | tr -dc 0-9)" -gt 500

# evaluate agrees with the trainer's validation of the same parameters: those of a step of length 0.
for loss in render reconstruction; do
    run 0 train $loss/recipe.json -o still.safetensors --validation $loss/data.safetensors --steps 1 --lr 0 --json
    said=$(sed -n 's/.*"validation_loss":\([^,]*\),.*/\1/p' out)
    run 0 evaluate $loss/model.safetensors $loss/data.safetensors --loss $loss --json
    keys loss psnr
    found=$(sed 's/.*"loss":\([^,]*\),.*/\1/' out)
    check "evaluate agrees with the validation of loss $loss" test "$(printf '%.5f' "$found")" = "$(printf '%.5f' "$said")"
    cp out once
    run 0 evaluate $loss/model.safetensors $loss/data.safetensors --loss $loss --json --batch-size 2 --threads 1
    check "in pieces it is the same" cmp once out
    run 0 evaluate $loss/trained.safetensors $loss/data.safetensors
    prints "networks  7"
    prints "($loss)"
    prints " dB, the mean of the images'"
done
# Of equal losses the first is the best; the model knows its omega.
sed 's/"omega": 30/"omega": 5/' render/recipe.json >render/slow.json
run 0 train render/slow.json -o slow.safetensors --validation render/data.safetensors --validate-every 1 --steps 3 --lr 0 --json
check "the first of equal losses is the best" test "$(grep -c '"best":true' out)" -eq 1
said=$(sed -n 's/.*"validation_loss":\([^,]*\),.*/\1/p' out | head -n 1)
run 0 evaluate slow.safetensors render/data.safetensors --json
found=$(sed 's/.*"loss":\([^,]*\),.*/\1/' out)
check "evaluate takes the model's omega" test "$(printf '%.5f' "$found")" = "$(printf '%.5f' "$said")"
cp out once
run 0 evaluate slow.safetensors render/data.safetensors --json --omega 30
check "--omega stands in its place" sh -c '! cmp -s once out'
run 0 forward slow.safetensors render/data.safetensors -o slow-edited.safetensors
run 0 info slow-edited.safetensors
prints "omega      5"
run 0 canonicalize render/data.safetensors -o thirty.safetensors --omega 30
run 1 forward slow.safetensors thirty.safetensors -o x.safetensors
says "thirty.safetensors: its networks have omega 30 by its metadata, the model was trained for 5"
run 1 evaluate slow.safetensors thirty.safetensors
says "the loss renders with 5"
run 0 evaluate render/model.safetensors render/data.safetensors --loss render --json
cp out once
run 0 evaluate render/model.safetensors render/data.safetensors --loss render --json --omega 30
check "omega is 30 unless it is said" cmp once out
run 0 evaluate render/model.safetensors render/data.safetensors --loss render --json --omega 20
check "another omega renders other images" sh -c '! cmp -s once out'
run 0 evaluate render/model.safetensors render/data.safetensors --loss render --json --omega 30,30
check "omega of each layer may be the same" cmp once out
run 0 evaluate render/model.safetensors render/data.safetensors --loss render --json --omega 30,20
check "or not" sh -c '! cmp -s once out'

# The same numbers from the files that other commands write.
run 0 forward render/model.safetensors render/data.safetensors -o edited.safetensors
run 0 render edited.safetensors -o rendered.safetensors --height 9 --width 8
run 0 evaluate render/model.safetensors render/data.safetensors --loss render --json
scores='
def scores(found, expected):
    count, numbers = len(found), len(found[0])
    losses = [sum((a - b) ** 2 for a, b in zip(x, y)) / numbers for x, y in zip(found, expected)]
    said = json.load(open("out"))
    assert abs(said["loss"] - sum(losses) / count) < 1e-6
    assert abs(said["psnr"] - sum(10 * math.log10(4 / loss) for loss in losses) / count) < 1e-4
def rows(tensor):
    shape, values = tensor
    size = len(values) // shape[0]
    return [values[n * size:(n + 1) * size] for n in range(shape[0])]
'
python "loss and PSNR of render are those of the rendered output" "$scores
found, expected = read('rendered.safetensors')['rendered'], read('render/data.safetensors')['target']
assert found[0] == expected[0]
scores(rows(found), rows(expected))"
run 0 forward reconstruction/model.safetensors reconstruction/data.safetensors -o decoded.safetensors --decode
run 0 render reconstruction/data.safetensors -o rendered.safetensors --height 7 --width 6
run 0 evaluate reconstruction/model.safetensors reconstruction/data.safetensors --loss reconstruction --json
python "loss and PSNR of reconstruction are those of the decoded images" "$scores
scores(rows(read('decoded.safetensors')['output']), rows(read('rendered.safetensors')['rendered']))"

# Networks whose images are not finite are counted and left out. SIRENs of one layer, 2 → 1, and images of one pixel.
one='\000\000\200\077'
nan='\000\000\300\177'
zero='\000\000\000\000'
same='{"format_version": 1, "space": {"layers": [{"type": "linear", "in": 2, "out": 1}]}, "modules": [{"type": "learned_scale", "init_scale": 1}]}'
echo "$same" >same.json
layer='"a.weight":{"dtype":"F32","shape":[2,1,2],"data_offsets":[0,16]},"a.bias":{"dtype":"F32","shape":[2,1],"data_offsets":[16,24]}'
target='"target":{"dtype":"F32","shape":[2,1,1,1],"data_offsets":[24,32]}'
# The grid of one pixel is (-1, -1): 1 - 2 and 0.
safetensors pixels.safetensors "{$layer,$target}" "$one$one$zero$zero$one$zero$zero$one"
safetensors nan.safetensors "{$layer,$target}" "$one$one$nan$zero$one$zero$zero$one"
safetensors all-nan.safetensors "{$layer,$target}" "$nan$one$nan$zero$one$zero$zero$one"
safetensors nan-target.safetensors "{$layer,$target}" "$one$one$zero$zero$one$zero$zero$nan"
run 0 evaluate same.json pixels.safetensors --loss render
prints "loss      1 (render)"
prints "psnr      6.02 dB"
safetensors equal.safetensors "{$layer,$target}" "$one$one$zero$zero$one$zero"'\000\000\200\277'"$zero"
run 0 evaluate same.json equal.safetensors --loss render
prints "psnr      inf dB"
run 0 evaluate same.json equal.safetensors --loss render --json
prints '{"loss":0.0,"psnr":null}'
run 0 evaluate same.json nan.safetensors --loss render
prints "loss      1 (render)"
prints "non-finite weights in 1 network"
prints "non-finite predictions for 1 network"
run 0 evaluate same.json nan.safetensors --loss render --json
keys loss psnr non_finite_inputs non_finite_predictions
run 1 evaluate same.json all-nan.safetensors --loss render
says "no network has images that are finite"
run 1 evaluate same.json nan-target.safetensors --loss render
says "image 1 of 'target' is not finite"

# Outputs that cannot be compared.
small() {
    safetensors "$1" "{$layer,\"target\":{\"dtype\":\"$2\",\"shape\":$3,\"data_offsets\":[24,$((24 + $4))]}}" "$one$one$one$one$one$one"
    head -c "$4" /dev/zero >>"$1"
}
small integers.safetensors I64 '[2,1,1,1]' 16
run 1 evaluate same.json integers.safetensors --loss render
says "holds integers"
small vectors.safetensors F32 '[2,1]' 8
run 1 evaluate same.json vectors.safetensors --loss render
says "is no images (N, height, width, colours)"
small empty.safetensors F32 '[2,0,1,1]' 0
run 1 evaluate same.json empty.safetensors --loss render
says "is no images"
small colours.safetensors F32 '[2,1,1,3]' 24
run 1 evaluate same.json colours.safetensors --loss render
says "'target' has 3 colours, but the networks have 1 outputs"
safetensors bare.safetensors "{$layer}" "$one$one$one$one$one$one"
run 1 evaluate same.json bare.safetensors --loss render
says "no tensor 'target' with 2 images"
run 1 evaluate same.json pixels.safetensors --loss reconstruction
says "has no decoder"
run 1 evaluate reconstruction/model.safetensors reconstruction/data.safetensors --loss render
says "the model gives images, loss render needs features"
echo "$same" | sed 's/{"type": "learned_scale".*}/{"type": "np_pool"}]}/' >pool.json
run 1 evaluate pool.json pixels.safetensors --loss render
says "the model gives a vector"
echo "$same" | sed 's/{"type": "learned_scale".*}/{"type": "pointwise", "out_channels": 2}]}/' >wide.json
run 0 evaluate wide.json pixels.safetensors --loss render
prints "(render)"
echo "$same" | sed 's/"in": 2/"in": 3/' >three.json
run 1 evaluate three.json pixels.safetensors --loss render
says "layer 0 has 3 inputs"
for option in --plot=x.svg --predictions=x.safetensors; do
    run 1 evaluate same.json pixels.safetensors --loss render $option
    says "${option%=*} is for losses mse, bce and cross_entropy"
done
run 1 evaluate reconstruction/model.safetensors reconstruction/data.safetensors --loss reconstruction --omega 20
says "--omega is for loss render"
run 1 evaluate same.json pixels.safetensors --loss mse --omega 20
says "--omega is for loss render, not mse"
run 2 evaluate same.json pixels.safetensors --loss render --omega 0
run 2 evaluate same.json pixels.safetensors --loss render --omega 1e30
says "--omega is '1e30', expected a number from 1e-6 to 1000000, or up to 16 with commas between"
run 2 evaluate same.json pixels.safetensors --loss render --omega 1e-30

# Data that are refused for training: the same of both sets, and images of two sizes.
echo "{\"model\": $same, \"loss\": \"render\", \"optimizer\": {\"type\": \"adam\"}, \"batch_size\": 2, \"steps\": 1}" >edit.json
small tall.safetensors F32 '[2,3,1,1]' 24
small short.safetensors F32 '[1,2,1,1]' 8
run 0 train edit.json -o edit.safetensors --train pixels.safetensors --validation equal.safetensors
run 0 train edit.json -o edit.safetensors --train tall.safetensors
prints "edit.safetensors: the model after 1 step"
for data in bare integers vectors empty colours nan-target short absent; do
    for set in train validation; do
        other=pixels.safetensors
        [ $set = validation ] || other=$data.safetensors
        run 1 train edit.json -o x.safetensors --train $other --validation $data.safetensors
        case $data in
        bare) says "no tensor 'target' with an image for each of its 2 networks" ;;
        integers) says "integers" ;;
        nan-target) says "not finite" ;;
        absent) says "absent.safetensors" ;;
        *) says "'target'" ;;
        esac
    done
done
run 1 train edit.json -o x.safetensors --train pixels.safetensors --validation tall.safetensors
says "the images of the validation set are 3 × 1, those of the training set 1 × 1"
run 1 train edit.json -o x.safetensors
says "'train' is missing"

# Sheets. An operand's pictures are the same, whether they are rendered or read.
sirens=$golden/siren_fit/init.safetensors
run 0 render "$sirens" -o rendered.safetensors --height 5 --width 4
run 0 render "$sirens" -o sheet.png --height 5 --width 4
run 0 render rendered.safetensors:rendered -o read.png
prints "read.png: 3 images at 5 × 4"
check "images of a tensor are drawn as they are" cmp sheet.png read.png
cp rendered.safetensors 'co:lon.safetensors'
run 0 render 'co:lon.safetensors:rendered' -o read.png
check "a file's name may have a colon" cmp sheet.png read.png
run 0 render rendered.safetensors:rendered -o again.safetensors
check "and written again they are the same" cmp rendered.safetensors again.safetensors
mv 'co:lon.safetensors' 'co:lon'
run 1 render 'co:lon' -o x.png
says "co:lon: holds no layer"
run 0 render "$sirens" rendered.safetensors:rendered "$sirens" -o groups.png
prints "groups.png: 3 networks at 5 × 4, 3 side by side"
run 0 render "$sirens" rendered.safetensors:rendered "$sirens" -o groups.png --batch-size 1 --threads 1 --json
prints '"shape":[3,5,4,1],"side_by_side":3'
python "a network's pictures are side by side, with grey between networks" "
import subprocess
sheet = pixels('sheet.png', 10, 8)
def single(n, y, x):
    return sheet[(n // 2 * 5 + y) * 8 + n % 2 * 4 + x]
groups = pixels('groups.png', 19, 12)
for y in range(19):
    for x in range(12):
        n, row = divmod(y, 7)
        assert groups[y * 12 + x] == (single(n, row, x % 4) if row < 5 else 128)"
# Edited networks, and the images that they should be.
run 0 render edited.safetensors render/data.safetensors:target -o edits.png
prints "edits.png: 7 networks at 9 × 8, 2 side by side"

# Decoded images are vectors; their size is the others', or the given one, or a square.
run 0 render reconstruction/data.safetensors -o originals.safetensors --height 7 --width 6
run 0 render decoded.safetensors -o vectors.png --height 7 --width 6
run 0 render decoded.safetensors:output -o named.png --height 7 --width 6
check "output is the default tensor of a file without layers" cmp vectors.png named.png
run 0 render originals.safetensors:rendered decoded.safetensors -o pairs.png
run 0 render reconstruction/data.safetensors decoded.safetensors -o asked.png --height 7 --width 6
check "the size is that of the images" cmp pairs.png asked.png
python "seven pairs are two pairs wide and four high, the last cell is empty" "
sheet = pixels('pairs.png', 4 * 9 - 2, 2 * 14 - 2)
decoded = read('decoded.safetensors')['output'][1]
for y in range(34):
    for x in range(26):
        n, row, column, level = y // 9 * 2 + x // 14, y % 9, x % 14, 128
        if n < 7 and row < 7 and column < 12 and column >= 6:
            level = int(min(max(255 * (decoded[(n * 7 + row) * 6 + column - 6] / 2 + 0.5), 0), 255) + 0.5)
        if n == 7 or row >= 7 or column >= 6:
            assert sheet[y * 26 + x] == level"
run 0 render decoded.safetensors -o told.png
check "nftool forward notes the size" cmp vectors.png told.png
sed 's/"height": 28, "width": 28/"height": 14, "width": 56/' "$examples/../siren-digits/inr2array.json" >wide.json
run 0 forward wide.json "$examples/mnist-sirens.safetensors" --decode -o wide.safetensors
run 0 render "$examples/mnist-sirens.safetensors" wide.safetensors -o wide.png --count 2
prints "2 networks at 14 × 56, 2 side by side"
run 1 render wide.safetensors -o x.png --height 28 --width 28
says "wide.safetensors: its images are 14 × 56 pixels, not 28 × 28"
safetensors sized.safetensors '{"__metadata__":{"nft.image_size":"2 3"},"output":{"dtype":"F32","shape":[1,4],"data_offsets":[0,16]}}' "$zero$zero$zero$zero"
run 1 render sized.safetensors -o x.png
says "sized.safetensors: 'nft.image_size' of its metadata is '2 3', expected height and width of images of 4 numbers"
run 1 render decoded.safetensors -o x.png --height 5 --width 7
says "decoded.safetensors: its images are 7 × 6 pixels, not 5 × 7"
safetensors grey.safetensors '{"output":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]}}' "$zero$zero$zero$zero$one$one$one$one"
run 0 render grey.safetensors -o grey.png
prints "2 images at 2 × 2"
safetensors rgb.safetensors '{"output":{"dtype":"F32","shape":[1,12],"data_offsets":[0,48]}}' "$one$one$one$one$one$one$one$one$one$one$one$one"
run 0 render rgb.safetensors -o rgb.png --json
prints '"shape":[1,2,2,3]'
safetensors odd.safetensors '{"output":{"dtype":"F32","shape":[1,5],"data_offsets":[0,20]}}' "$one$one$one$one$one"
run 1 render odd.safetensors -o x.png
says "5 numbers are no square image: give --height and --width"
run 0 render odd.safetensors -o odd.png --height 1 --width 5
run 1 render odd.safetensors -o x.png --height 1 --width 1
says "5 colours, a PNG file takes 1"
run 0 render odd.safetensors -o odd-rendered.safetensors --height 1 --width 1

# Some of a large file.
run 0 render "$sirens" -o one.png --height 5 --width 4 --first 1 --count 1
run 0 render rendered.safetensors:rendered -o read.png --first 1 --count 1
prints "1 image at 5 × 4"
check "--first and --count are of images as of networks" cmp one.png read.png
run 0 render "$sirens" -o two.safetensors --height 5 --width 4 --first 1 --count 9
prints "2 networks"
python "--first and --count choose networks" "
assert read('two.safetensors')['rendered'][1] == read('rendered.safetensors')['rendered'][1][20:]"
run 1 render "$sirens" -o x.png --first 3
says "holds 3 networks, the first is 0; --first is 3"
run 2 render "$sirens" -o x.png --count 0

# Files of pixels, enlarged.
digits=$examples/digits-idx3-ubyte.gz
run 1 render "$digits" -o x.png --layers a,b
says "is images; --layers names the layers of weights"
run 0 render "$examples/mnist-sirens.safetensors" "$digits" --count 2 -o with-images.png --layers net.0.linear,net.1.linear,net.2.linear
run 0 render "$digits" -o digits.png --first 1 --count 2
prints "digits.png: 2 images at 28 × 28"
run 0 render "$digits" -o zoomed.png --first 1 --count 2 --zoom 3 --batch-size 1
python "an IDX file is drawn as it is, enlarged by whole pixels" "
import gzip
raw = gzip.open('$digits').read()[16 + 784:16 + 3 * 784]
small, large = pixels('digits.png', 28, 56), pixels('zoomed.png', 84, 168)
for y in range(28):
    for x in range(56):
        assert small[y * 56 + x] == raw[x // 28 * 784 + y * 28 + x % 28]
for y in range(84):
    for x in range(168):
        assert large[y * 168 + x] == small[y // 3 * 56 + x // 3]"
run 0 render digits.png -o again.png
check "a PNG file is drawn as it is" cmp digits.png again.png
run 0 fit "$digits" -o fitted.safetensors --first 1 --count 2 --steps 1 --quiet
run 0 render fitted.safetensors "$digits" -o pairs.png --count 2
prints "2 networks at 28 × 28, 2 side by side"

# Answers below the networks: the first has the highest score where its label is, the second has not.
scores="$zero$zero$one$one$zero$one"
labels='\002\000\000\000\000\000\000\000\002\000\000\000\000\000\000\000'
scores_header='"output":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}'
safetensors answers.safetensors "{$scores_header,\"label\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[24,40]}}" "$scores$labels"
safetensors unlabelled.safetensors "{$scores_header}" "$scores"
run 0 render "$digits" -o plain.png --first 0 --count 2 --zoom 2
run 0 render "$digits" -o answers.png --count 2 --zoom 2 --answers answers.safetensors
run 0 render "$digits" -o unlabelled.png --count 2 --zoom 2 --answers unlabelled.safetensors
python "right answers are black on white, wrong ones red, and the images stay as they are" "
plain = pixels('plain.png', 56, 112)
def cell(path, n, top, bottom):
    sheet = pixels(path, 70, 114, 3)
    return [tuple(sheet[(y * 114 + 58 * n + x) * 3:][:3]) for y in range(top, bottom) for x in range(56)]
for n in range(2):
    assert cell('answers.png', n, 0, 56) == [(plain[y * 112 + 56 * n + x],) * 3 for y in range(56) for x in range(56)]
right, wrong = (set(cell('answers.png', n, 56, 70)) for n in range(2))
assert (255, 255, 255) in right and min(right)[0] < 100 and all(r == g == b for r, g, b in right)
assert (255, 255, 255) in wrong and min(wrong)[1] < 100 and all(r >= 204 and g == b for r, g, b in wrong)
assert cell('unlabelled.png', 0, 0, 70) == cell('answers.png', 0, 0, 70)
assert all(r == g == b for r, g, b in cell('unlabelled.png', 1, 0, 70))"
run 0 render "$digits" -o again.png --count 3 --zoom 2 --answers answers.safetensors
check "--count is the most that all have" cmp again.png answers.png
run 1 render "$digits" -o x.png --answers answers.safetensors
says "answers.safetensors: holds 2 answers, $digits holds 300; give --count 2 to draw as many of each"
run 1 render "$digits" -o x.png --count 1 --answers answers.safetensors --first 2
says "answers.safetensors: holds 2 answers, the first is 0; --first is 2"
run 1 render "$digits" -o x.png --count 2 --answers fitted.safetensors
says "fitted.safetensors: there is no tensor 'output'"
run 0 render fitted.safetensors -o fitted.png --answers answers.safetensors
run 0 fit "$digits" -o labelled.safetensors --labels "$examples/digits-labels-idx1-ubyte.gz" --first 1 --count 2 --steps 1 --quiet
run 1 render "$digits" labelled.safetensors -o x.png --count 2 --answers answers.safetensors
says "answers.safetensors: label 1 is 2, in labelled.safetensors 1: these are answers to other networks"
run 1 info "$digits"
says "$digits: unpacked: not a file of tensors: it is an IDX file of images; 'nftool fit' makes networks of it"
run 1 info digits.png
safetensors vector.safetensors '{"output":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}' "$one$one"
run 1 render "$digits" -o x.png --count 2 --answers vector.safetensors
says "vector.safetensors: 'output' is floats 2 × 1, expected the scores of a classifier, floats (N, classes)"
safetensors bad.safetensors "{$scores_header}" "$zero$zero$nan$one$zero$one"
run 1 render "$digits" -o x.png --count 2 --answers bad.safetensors
says "'output' has values that are not finite"
safetensors bad.safetensors "{$scores_header,\"label\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]}}" "$scores$one$one"
run 1 render "$digits" -o x.png --count 2 --answers bad.safetensors
says "'label' is not one class, an integer, for each of 2 answers"
safetensors bad.safetensors "{$scores_header,\"label\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[24,40]}}" "$scores$(printf %s "$labels" | sed 's/\\002/\\003/g')"
run 1 render "$digits" -o x.png --count 2 --answers bad.safetensors
says "label 0 is 3, expected 0 … 2, the classes of 'output'"
python "a long answer is written smaller, not cut" "
import struct
header = json.dumps({'output': {'dtype': 'F32', 'shape': [1, 99999], 'data_offsets': [0, 399996]},
                     'label': {'dtype': 'I64', 'shape': [1], 'data_offsets': [399996, 400004]}}).encode()
scores = [0.0] * 99998 + [1.0]
open('many.safetensors', 'wb').write(struct.pack('<Q', len(header)) + header + struct.pack('<99999fq', *scores, 11111))"
[ ! -e many.safetensors ] || run 0 render "$digits" -o many.png --count 1 --answers many.safetensors
python "a long answer leaves its edges white" "
sheet = pixels('many.png', 42, 28, 3)
line = [[sheet[(y * 28 + x) * 3 + 1] for x in range(28)] for y in range(28, 42)]
assert min(map(min, line)) < 160 and all(row[0] > 160 for row in line)"
run 1 render "$digits" -o x.png --count 2 --answers absent.safetensors
run 1 render "$digits" -o x.png --zoom 1024
says "x.png: would be a picture of 487424 × 516096 pixels, more than 268435456"
run 1 render "$sirens" -o x.png --height 65536 --width 65536 --zoom 1024
says "would be a picture of 134217728 × 134217728 pixels"
run 2 render "$digits" -o x.safetensors --zoom 2
says "--answers, --heading and --zoom are for a PNG file"

# Operands that do not fit together.
run 2 render "$sirens" "$sirens" -o x.safetensors
says "a .safetensors file takes the images of one operand, found 2"
run 1 render "$sirens" pixels.safetensors -o x.png
says "pixels.safetensors: holds 2 networks, $sirens holds 3; give --count 2 to draw as many of each"
run 0 render "$sirens" pixels.safetensors -o some.png --first 1 --count 9
prints "1 network at"
run 0 render pixels.safetensors "$sirens" -o some.png --first 1 --count 9
prints "1 network at"
run 1 render "$sirens" pixels.safetensors -o x.png --first 2 --count 1
says "pixels.safetensors: holds 2 networks, the first is 0; --first is 2"
run 1 render "$sirens" rendered.safetensors:rendered -o x.png --height 6
says "its images are 5 × 4 pixels, not 6 × 4"
run 1 render pixels.safetensors colours.safetensors:target -o x.png
says "colours.safetensors:target: has 3 colours, pixels.safetensors has 1"
run 1 render "$sirens" rendered.safetensors:absent -o x.png
says "rendered.safetensors: there is no tensor 'absent'"
run 1 render "$sirens" absent.safetensors:target -o x.png
says "absent.safetensors: "
run 1 render "$sirens" render/data.safetensors: -o x.png
run 1 render "$sirens" integers.safetensors:target -o x.png
says "tensor 'target' is I64, expected F32, F16, BF16 or F64 in -1 … 1"
run 1 render empty.safetensors:target -o x.png
says "holds no images"
run 0 forward reconstruction/model.safetensors reconstruction/data.safetensors -o latents.safetensors
run 1 render latents.safetensors -o x.png
says "has 3 axes, expected images"
run 1 render same.json -o x.png
says "configuration"

# No output is an input, another output, or something that is no file.
cp "$sirens" own.safetensors
run 1 render own.safetensors -o own.safetensors
says "own.safetensors: is also an input; give -o another file"
run 1 render rendered.safetensors:rendered -o rendered.safetensors
says "is also an input"
ln own.safetensors same.png
run 1 render own.safetensors -o same.png
says "same.png: is also an input"
run 1 evaluate reconstruction/model.safetensors own.safetensors --predictions own.safetensors
says "is also an input; give --predictions another file"
# A heading names the operands above the pictures.
run 0 render own.safetensors -o plain-sheet.png --count 4
run 0 render own.safetensors -o headed.png --count 4 --heading
python "a heading is a line of white and black above the pictures" '
import struct
width, height = struct.unpack(">II", open("plain-sheet.png", "rb").read(24)[16:])
assert struct.unpack(">II", open("headed.png", "rb").read(24)[16:]) == (width, height + 14)
found = pixels("headed.png", height + 14, width)
assert found[14 * width:] == pixels("plain-sheet.png", height, width)
assert found[0] == 255 and min(found[:14 * width]) < 100
'
run 2 render own.safetensors -o headed.safetensors --heading
says "--answers, --heading and --zoom are for a PNG file"
mkfifo pipe.png
run 1 render own.safetensors -o pipe.png
says "pipe.png: cannot write: No such device or address"
check "a pipe stays one" test -p pipe.png
check "no input was touched" cmp own.safetensors "$sirens"
rm same.png pipe.png plain-sheet.png headed.png
check "no file is left by failures" sh -c '! ls x.* 2>/dev/null'
check "no temporary file is left" sh -c '[ "$(find . -name "*.tmp" | wc -l)" -eq 0 ]'
finish
