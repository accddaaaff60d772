"""rank_networks.py MODEL WEIGHTS [COUNT]: which networks of a file does the model find most accurate?"""

import sys

import numpy as np

import nft


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    model, networks = nft.Model.load(sys.argv[1]), nft.Weights.load(sys.argv[2])
    predicted = nft.Context(model).forward(networks)[:, 0]
    known = networks["label"] if "label" in networks else np.full(len(networks), np.nan)
    print("network  predicted  actual")
    for index in np.argsort(-predicted)[:int(sys.argv[3]) if len(sys.argv) > 3 else 5]:
        print(f"{index:7d}  {predicted[index]:9.3f}  {known[index]:6.3f}")


if __name__ == "__main__":
    try:
        main()
    except nft.Error as error:
        sys.exit(str(error))
