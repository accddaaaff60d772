/* The limits of the control group of this process, such as that of a container or a batch system. */
#ifndef NFT_BASE_CGROUP_H
#define NFT_BASE_CGROUP_H

#include <stdint.h>

typedef struct nft_cgroup {
    int64_t memory; /* bytes; INT64_MAX without a limit */
    int64_t cores;  /* the quota of time in cores, rounded up; INT64_MAX without a limit */
} nft_cgroup;

/* The limits of the groups of `membership`, a text like /proc/self/cgroup, below the folder `mount`, and of
 * the groups above them; versions 1 and 2. A file that cannot be read sets no limit. Allocates nothing. */
nft_cgroup nft_cgroup_read(const char *membership, const char *mount);

/* The limits of this process, read once. */
const nft_cgroup *nft_cgroup_limits(void);

#endif
