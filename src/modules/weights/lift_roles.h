/* lift in a model of any space: networks have tensors with any number of positions, and the map of a role
 * takes S² places. A kernel stands in the middle of S × S with zeros around; positions of another kind become
 * S² means of about equal parts. Both are linear, so each tensor is mapped by a narrow weight for its own
 * positions, made from the role's. */
#ifndef NFT_MODULES_LIFT_ROLES_H
#define NFT_MODULES_LIFT_ROLES_H

#include "modules/weights/features.h"

typedef struct nft_lift_roles nft_lift_roles;

/* Declares maps.{role}; free the result with nft_release(), also after a failure. */
nft_status nft_lift_roles_configure(nft_lift_roles **roles, nft_module *module, nft_builder *builder,
                                    int64_t places);
void nft_lift_roles_forward(const nft_lift_roles *roles, const nft_exec *exec, const float *in, float *out);
void nft_lift_roles_backward(const nft_lift_roles *roles, const nft_exec *exec, const float *in,
                             const float *grad_out, float *grad_in);

#endif
