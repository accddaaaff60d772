/**
 * @file train.h
 * Training: trainers with a recipe, data sets in files, gradients for a training loop of your own, and
 * permutations.
 */
#ifndef NFT_TRAIN_H
#define NFT_TRAIN_H

#include "nft/dataset.h"
#include "nft/gradients.h"
#include "nft/permute.h"
#include "nft/trainer.h"

#endif
