#!/bin/sh
# Tests of the files that nftool writes and of its kinds of targets: test_files.sh PATH-OF-NFTOOL. Prints a line for each failed check, then
# "N passed, N failed". Where INTERPOSED names the library of interposed.c, calls are also interrupted.
set -u

# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

weights=$examples/fashion-cnns.safetensors
predictor=$examples/accuracy-predictor.safetensors
digits=$examples/digits-idx3-ubyte.gz
run 0 permute "$weights" -o permuted.safetensors

# mode FILE: its permissions.
mode() {
    # shellcheck disable=SC2012
    ls -l "$1" | cut -c1-10
}

# Permissions of the file that is replaced stay, also of pictures.
run 0 render "$digits" --count 2 -o new.png
for file in kept.safetensors kept.png; do
    : >$file
    chmod 600 $file
done
run 0 permute "$weights" -o kept.safetensors
run 0 render "$digits" --count 2 -o kept.png
check "a data set is as private as the one before" test "$(mode kept.safetensors)" = -rw-------
check "and so is a picture" test "$(mode kept.png)" = -rw-------
check "both are new" test -s kept.safetensors -a -s kept.png

# Links are written through.
ln -s kept.safetensors link
ln -s absent.png link.png
run 0 permute "$weights" -o link
run 0 render "$digits" --count 2 -o link.png
check "a link stays a link" test -h link -a -h link.png
check "the linked file is written" cmp kept.safetensors permuted.safetensors
check "also where there was nothing" cmp absent.png new.png
ln -s loop loop2
ln -s loop2 loop
run 1 permute "$weights" -o loop
says "loop: "

# A read-only file is not changed.
chmod 444 kept.safetensors kept.png
for command in "permute $weights -o kept.safetensors" "render $digits --count 1 -o kept.png" "permute $weights -o link" \
    "fit $digits --count 1 --steps 1 -o kept.safetensors"; do
    # shellcheck disable=SC2086
    run 1 $command
    says "is read-only; --force replaces it all the same"
done
run 0 permute "$weights" -o kept.safetensors --seed 1 --force
check "--force replaces it" sh -c '! cmp -s kept.safetensors permuted.safetensors'
check "and it stays read-only" test "$(mode kept.safetensors)" = -r--r--r--

# Devices and pipes are written to.
run 0 permute "$weights" -o /dev/null
run 0 render "$digits" --count 1 -o /dev/null
run 0 forward "$predictor" "$weights" -o /dev/null
check "/dev/null stays a device" test -c /dev/null
run 1 permute "$weights" -o /dev/full
says "/dev/full: cannot write: No space left on device"
for output in - /dev/stdout /dev/fd/1; do
    "$nftool" permute "$weights" -o $output 2>err | cat >piped.safetensors
    check "-o $output writes to a pipe" cmp piped.safetensors permuted.safetensors
    "$nftool" permute "$weights" -o $output >redirected.safetensors 2>err
    check "-o $output writes to a file" cmp redirected.safetensors permuted.safetensors
done
printf before >appended
"$nftool" permute "$weights" -o - >>appended 2>err
check "-o - appends where the shell does" test "$(head -c 6 appended)" = before -a "$(wc -c <appended)" -eq $(($(wc -c <permuted.safetensors) + 6))
says "50 networks permuted"
"$nftool" permute "$weights" -o - --json 2>err | cat >piped.safetensors
check "the file is not mixed with JSON" cmp piped.safetensors permuted.safetensors
says '"output":"/dev/stdout"'
"$nftool" render "$digits" --count 2 -o - 2>err | cat >piped.png
check "-o - is PNG of render" cmp piped.png new.png
mkfifo pipe
run 1 permute "$weights" -o pipe
says "pipe: cannot write: No such device or address"
cat pipe >from-pipe &
run 0 permute "$weights" -o pipe
wait $!
check "a pipe is written to" cmp from-pipe permuted.safetensors
run 1 fit "$digits" --count 1 --steps 1 -o /dev/null
says "/dev/null: cannot write: it is not a regular file"
if command -v script >/dev/null 2>&1; then
    script -qec "'$nftool' permute '$weights' -o -" terminal >/dev/null 2>&1 </dev/null
    check "no file goes to a terminal" grep -q "standard output is a terminal" terminal
fi

# Inputs may come from pipes: a model, data, a recipe, images, a configuration. They are read whole.
"$nftool" info "$weights" >expected
for input in - /dev/stdin /dev/fd/0; do
    "$nftool" info $input <"$weights" >found 2>err
    check "$input is a file" cmp expected found
    # shellcheck disable=SC2002
    cat "$weights" | "$nftool" info $input >found 2>err
    check "$input is a pipe" cmp expected found
done
"$nftool" forward "$predictor" "$weights" >expected
"$nftool" forward - "$weights" <"$predictor" >found 2>err
check "a model is read from standard input" cmp expected found
mkfifo model-pipe data-pipe
cat "$predictor" >model-pipe &
cat "$weights" >data-pipe &
LIMIT=60 run 0 forward model-pipe data-pipe
check "a model and data are read from pipes" cmp expected out
gzip -dc "$digits" | "$nftool" fit - --count 2 --steps 2 -o piped-fit.safetensors --quiet >out 2>err
run 0 fit "$digits" --count 2 --steps 2 -o file-fit.safetensors --quiet
check "images are read from a pipe" cmp piped-fit.safetensors file-fit.safetensors
cat >recipe.json <<JSON
{"model": {"format_version": 1, "space": {"layers": [{"type": "linear", "in": 2, "out": 32}, {"type": "linear", "in": 32, "out": 32}, {"type": "linear", "in": 32, "out": 1}]},
           "modules": [{"type": "hnp_pool"}, {"type": "linear", "out_features": 10}]},
 "train": "sirens.safetensors", "loss": "cross_entropy", "optimizer": {"type": "adam"}, "batch_size": 8, "steps": 2}
JSON
cp "$examples/mnist-sirens.safetensors" sirens.safetensors
run 0 train recipe.json -o trained.safetensors
# shellcheck disable=SC2002
cat recipe.json | "$nftool" train - -o piped-model.safetensors >out 2>err
check "a recipe from a pipe finds its data in the folder of the user" cmp trained.safetensors piped-model.safetensors
gzip -c "$weights" | "$nftool" info - >found 2>err
check "formats are told as of files" grep -q "data set" found
echo nothing | "$nftool" info - >out 2>err
says "nftool: standard input: "
# shellcheck disable=SC2002
cat "$weights" | "$nftool" info - --memory-limit 1K >out 2>err
says "standard input: is a pipe of more than 1024 bytes; write it to a file first"
run 1 forward - - </dev/null
says "standard input is given for two inputs"
printf '{"parts": ["sirens.safetensors"]}' | "$nftool" info - >out 2>err
says "standard input: is an index, whose parts are relative to it; give its file"

# Another file with the name of a fit's own file is not changed.
printf precious >precious
ln -s precious fitted.safetensors.partial
run 1 fit "$digits" --count 1 --steps 1 -o fitted.safetensors
says "fitted.safetensors.partial: is a link, but the fit keeps its finished networks there; give another --output"
check "a link is not followed" test "$(cat precious)" = precious -a -h fitted.safetensors.partial
rm fitted.safetensors.partial
mkfifo fitted.safetensors.partial
LIMIT=60 run 1 fit "$digits" --count 1 --steps 1 -o fitted.safetensors
says "fitted.safetensors.partial: is not a regular file"
check "a pipe is not removed" test -p fitted.safetensors.partial
rm fitted.safetensors.partial
ln -s /dev/null fitted.safetensors.partial
run 1 fit "$digits" --count 1 --steps 1 -o fitted.safetensors
check "nor a link to a device" test -h fitted.safetensors.partial
rm fitted.safetensors.partial

# Calls that signals interrupt are made again.
if [ -n "${INTERPOSED:-}" ]; then
    for command in "permute $weights -o interrupted.safetensors" "render $digits --count 2 -o interrupted.png" \
        "fit $digits --count 1 --steps 1 -o interrupted.safetensors"; do
        # shellcheck disable=SC2086
        LD_PRELOAD=$INTERPOSED INTERRUPTED=fsync "$nftool" $command --quiet >out 2>err
        check "$command, interrupted" test $? -eq 0
    done
fi

finish
