#define _XOPEN_SOURCE 700
#include "stop_signals.h"

#include <errno.h>
#include <stddef.h>
#include <time.h>

static const int numbers[STOP_SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGUSR1, SIGUSR2};

/* A signal to a process and then to its group is one request: `timeout` and batch systems send both. */
#define LATER_SECONDS 1

static volatile sig_atomic_t came;
static struct timespec asked; /* when INT or TERM came first */
static volatile sig_atomic_t was_asked;

/* The others may come again and again, SIGXCPU every second, and mean nothing more by it. */
static bool ends_at_second(int number)
{
    return number == SIGINT || number == SIGTERM;
}

static void note_signal(int number)
{
    int error = errno;
    struct timespec now;
    came = number;
    if (ends_at_second(number) && !clock_gettime(CLOCK_MONOTONIC, &now)) {
        if (was_asked && now.tv_sec - asked.tv_sec > LATER_SECONDS) {
            signal(number, SIG_DFL);
            raise(number); /* when this handler has returned */
        }
        if (!was_asked)
            asked = now;
        was_asked = 1;
    }
    errno = error;
}

void stop_signals_listen(stop_signals *signals)
{
    came = was_asked = 0;
    for (int i = 0; i < STOP_SIGNALS; i++) {
        struct sigaction action = {.sa_flags = SA_RESTART};
        action.sa_handler = note_signal;
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
