/* A signal that ends the program while a file is written removes the part that is there. */
#ifndef NFT_CLI_CLEANUP_H
#define NFT_CLI_CLEANUP_H

#include "options.h"

/* From now on SIGINT, SIGTERM, SIGHUP and SIGXCPU do so, unless they are ignored. Without memory they end the
 * program as ever. A second call is for other files, in place of the first's. */
void cleanup_begin(const cli_options *given);
/* A file of the program's own that is being written; NULL: none. It must stay valid until the next call. */
void cleanup_also(const char *name);

#endif
