/* One training at a time writes to an output. */
#ifndef NFT_CLI_OUTPUT_LOCK_H
#define NFT_CLI_OUTPUT_LOCK_H

typedef struct output_lock {
    char *name; /* .NAME.lock in the folder of the output; NULL: none is held */
    int descriptor;
} output_lock;

#define OUTPUT_LOCK_NONE                                                                                     \
    {                                                                                                        \
        NULL, -1                                                                                             \
    }

/* Takes it, or prints that another program has it. It ends with the process, however that ends: a file of the
 * name that a killed one left is taken over. Returns the exit status. */
int output_lock_take(output_lock *lock, const char *output);
void output_lock_release(output_lock *lock);

#endif
