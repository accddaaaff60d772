/* Signals that ask a long command to keep its state and stop: Ctrl-C, a batch system's warning, a terminal
 * that went, a limit on the time of the processor. */
#ifndef NFT_CLI_STOP_SIGNALS_H
#define NFT_CLI_STOP_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

#define STOP_SIGNALS 6

typedef struct stop_signals {
    struct sigaction before[STOP_SIGNALS];
} stop_signals;

/* A second SIGINT or SIGTERM ends the program at once. A signal that is ignored, as by jobs in the background
 * of a script, stays so. */
void stop_signals_listen(stop_signals *signals);
void stop_signals_restore(const stop_signals *signals);
/* Whether one has come since. */
bool stop_signal_came(void);

#endif
