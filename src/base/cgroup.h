/* What a control group, as of a container or a batch system, leaves of the machine to this process. */
#ifndef NFT_BASE_CGROUP_H
#define NFT_BASE_CGROUP_H

#include <stdint.h>

typedef struct nft_cgroup {
    int64_t memory; /* bytes; INT64_MAX without a limit */
    int64_t cores;  /* that the quota of time keeps busy, rounded up; INT64_MAX without a limit */
} nft_cgroup;

/* The limits of the groups that `membership`, as /proc/self/cgroup is written, names below the folder
 * `mount`, and of the groups above them; versions 1 and 2. What cannot be read limits nothing. Takes no
 * memory. */
nft_cgroup nft_cgroup_read(const char *membership, const char *mount);

/* Those of this process, read once. */
const nft_cgroup *nft_cgroup_limits(void);

#endif
