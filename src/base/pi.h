/* The number π, which ISO C's math.h lacks. */
#ifndef NFT_BASE_PI_H
#define NFT_BASE_PI_H

#define NFT_PI 3.14159265358979323846

#endif
