#!/bin/sh
# test_init.sh PATH-OF-NFTOOL: recipes that fit the data: each is trained as it is written.
# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

# works RECIPE DATA: it trains, and the model runs on the data.
works() {
    run 0 train "$1" -o "$1.safetensors" --steps 2 --batch-size 4
    run 0 forward "$1.safetensors" "$2"
}

sirens=$examples/mnist-sirens.safetensors
cnns=$examples/fashion-cnns.safetensors

# SIRENs with classes.
run 0 init "$sirens" -o sirens.json --quiet
prints "sirens.json: 'nftool train sirens.json -o MODEL.safetensors' trains it"
check "integer labels are classes" grep -q '"loss": "cross_entropy"' sirens.json
check "as many as there are" grep -q '{"type": "linear", "out_features": 10}' sirens.json
check "SIRENs have cross attention" grep -q cross_attn_encoder sirens.json
works sirens.json "$sirens"
"$nftool" init "$sirens" >printed 2>err
says "mnist-sirens.safetensors: 60 networks (SIRENs); loss cross_entropy on 'label', 10 classes"
says "no validation set: --validation names one"
check "without a file it is printed" cmp printed sirens.json

# CNNs with accuracies, in 0 … 1; and with a validation set, seen from another folder.
cp "$cnns" cnns.safetensors
mkdir folder
run 0 init cnns.safetensors -o folder/cnns.json --validation cnns.safetensors --quiet
check "shares are probabilities" grep -q '"loss": "bce"' folder/cnns.json
check "chains end in statistics" grep -q stat_featurizer folder/cnns.json
check "the recipe finds its data" grep -q "\"train\": \"$PWD/cnns.safetensors\"" folder/cnns.json
check "and the validation set" grep -q '"validation": "/' folder/cnns.json
works folder/cnns.json cnns.safetensors

# Tokens.
run 0 forward "$examples/digit-encoder.safetensors" "$sirens" --prepare -o tokens.safetensors
run 0 init tokens.safetensors -o tokens.json --quiet
check "tokens have a transformer" grep -q '"input": {"type": "tokens", "tokens": 16, "channels": 64}' tokens.json
works tokens.json tokens.safetensors

# Networks of two spaces, with numbers of any size, and with names of classes.
mkdir zoo
one='\000\000\200\077'
safetensors zoo/1.safetensors '{"0.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"0.bias":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}' "$one$one"
safetensors zoo/2.safetensors '{"0.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"0.bias":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}' "$one$one$one"
printf 'file,steps,kind\n1,100.5,a\n2,7,c\n' >zoo/labels.csv
run 0 collect zoo -o numbers.json --labels zoo/labels.csv --label steps
run 0 init numbers.json -o recipe.json --quiet
check "numbers beyond 0 … 1 have loss mse" grep -q '"loss": "mse"' recipe.json
check "several spaces are any space" grep -q '"space": "any"' recipe.json
check "and no sigmoid" sh -c '! grep -q sigmoid recipe.json'
works recipe.json numbers.json
run 0 collect zoo/1.safetensors -o one.safetensors --labels zoo/labels.csv --label kind
run 0 init one.safetensors --quiet
check "there are two classes at least" grep -q '{"type": "linear", "out_features": 2}' out

# A folder and a table become a predictor in three commands.
mkdir folder/zoo
i=0
echo 'file,test_accuracy' >folder/zoo/results.csv
while [ $i -lt 10 ]; do
    "$nftool" permute "$examples/one-cnn.safetensors" --layers conv1,conv2,conv3,fc --seed $i -o folder/zoo/$i.safetensors >out 2>err
    echo "$i.safetensors,0.$i" >>folder/zoo/results.csv
    i=$((i + 1))
done
cd folder || exit 1
run 0 collect zoo --labels zoo/results.csv --label test_accuracy --split validation=0.1,test=0.1 -o zoo.safetensors --quiet
prints "zoo-test.safetensors: 1 network"
run 0 init zoo-train.safetensors --validation zoo-validation.safetensors -o recipe.json --quiet
run 0 train recipe.json -o predictor.safetensors --steps 2 --batch-size 4
run 0 forward predictor.safetensors zoo-test.safetensors
check "the prediction is told with its file" grep -Eq '^ *0  zoo/[0-9].safetensors  0\.' out
cd .. || exit 1

# The validation set fits the training set.
run 1 init cnns.safetensors --validation "$sirens"
says "mnist-sirens.safetensors: its networks have another space than those of cnns.safetensors; 'nftool space' prints both"
run 1 init cnns.safetensors --validation tokens.safetensors
says "tokens.safetensors: holds tokens, but cnns.safetensors holds networks"
run 1 init cnns.safetensors --validation nothing.safetensors
says "nothing.safetensors: cannot open"
printf 'file,accuracy,steps,class,kind\n1,0.5,100.5,1,a\n2,0.5,7,4,b\n' >zoo/labels.csv
for label in accuracy steps class kind; do
    "$nftool" collect zoo/1.safetensors -o $label-only.safetensors --labels zoo/labels.csv --label $label >out 2>err
    "$nftool" collect zoo -o $label.json --labels zoo/labels.csv --label $label >out 2>err
done
run 1 init accuracy.json --validation class.json
says "class.json: 'label' holds integers, classes, but accuracy.json holds floats"
run 1 init class.json --validation accuracy.json
says "accuracy.json: 'label' holds floats, but class.json holds integers, classes"
run 1 init kind.json --validation kind-only.safetensors
says 'kind-only.safetensors: its classes are ["a"], those of kind.json are ["a","b"]'
run 0 init class-only.safetensors --validation class-only.safetensors --quiet
check "two classes are the least" grep -q '"out_features": 2}' out
sed 's/,1,a/,6,a/' zoo/labels.csv >zoo/other.csv
run 0 collect zoo/1.safetensors -o six.safetensors --labels zoo/other.csv --label class
run 0 init class-only.safetensors --validation six.safetensors --quiet
check "classes of either set count" grep -q '"out_features": 7}' out
run 0 init accuracy-only.safetensors --validation steps-only.safetensors --quiet
check "numbers beyond 0 … 1 in either set have loss mse" grep -q '"loss": "mse"' out
run 1 init class-only.safetensors --validation class.json
says "class.json: its networks have several spaces, other than those of class-only.safetensors"
run 0 init class.json --validation class-only.safetensors --quiet

# Data without labels: the message says how to get them.
run 1 init zoo/1.safetensors
says "has no tensor 'label' with an entry for each network; 'nftool collect --labels' adds labels"
run 1 init sirens.json
says "sirens.json: "
run 1 init cnns.safetensors -o cnns.safetensors
says "is also an input"
run 1 init "$examples/digit-classifier.safetensors"
says "this is a model, expected a data set"

finish
