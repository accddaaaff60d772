#define _XOPEN_SOURCE 700
#include "stop_signals.h"

#include <stddef.h>

static const int numbers[STOP_SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGUSR1, SIGUSR2};

static volatile sig_atomic_t came;

static void note_signal(int number)
{
    came = number;
}

/* The others may come again and again, SIGXCPU every second, and mean nothing more by it. */
static bool ends_at_second(int number)
{
    return number == SIGINT || number == SIGTERM;
}

void stop_signals_listen(stop_signals *signals)
{
    came = 0;
    for (int i = 0; i < STOP_SIGNALS; i++) {
        struct sigaction action = {.sa_flags = SA_RESTART};
        action.sa_handler = note_signal;
        if (ends_at_second(numbers[i]))
            action.sa_flags |= (int)SA_RESETHAND;
        if (!sigaction(numbers[i], NULL, &signals->before[i]) && signals->before[i].sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
}

void stop_signals_restore(const stop_signals *signals)
{
    for (int i = 0; i < STOP_SIGNALS; i++)
        sigaction(numbers[i], &signals->before[i], NULL);
}

bool stop_signal_came(void)
{
    return came != 0;
}
