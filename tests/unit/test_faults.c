/* Faults of files. Each system call fails once, and the process is killed at each. The old file is whole, no
 * half of a new one stands under its name, and the message names the file and the reason. */
#define _GNU_SOURCE
#include "nft/file.h"
#include "nft/train.h"
#include "unit/interposed_files.h"
#include "unit/temporary.h"
#include "unit/training.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>

#define OLD "what was there before"
#define TARGET "kept.safetensors"

static struct {
    nft_model *model;
    nft_weights *set, *large;
    nft_trainer *trainer;
} f;

/* --- the operations --- */

static nft_status save_arrays(const char *path)
{
    const float values[] = {1, 2, 3};
    const char *const name = "a";
    nft_array *array = NULL;
    nft_status status = nft_array_create(&array, NFT_ARRAY_F32, (const int64_t[]){3}, 1, values);
    if (!status)
        status = nft_array_save(path, &name, (const nft_array *const *)&array, 1, NULL);
    nft_array_free(array);
    return status;
}

static nft_status save_weights(const char *path)
{
    return nft_weights_save(f.set, path);
}

static nft_status save_model(const char *path)
{
    return nft_model_save(f.model, path);
}

static nft_status save_checkpoint(const char *path)
{
    return nft_trainer_save(f.trainer, path);
}

static nft_status save_pieces(const char *path)
{
    const nft_tensor_info tensor = {
        .size = sizeof tensor, .name = "a", .type = "I64", .rank = 1, .shape = {2}};
    const int64_t values[] = {1, 2};
    nft_file_writer *writer = NULL;
    nft_status status = nft_file_writer_create(&writer, path, &tensor, 1, NULL);
    for (int i = 0; i < 2 && !status; i++)
        status = nft_file_writer_append(writer, &values[i], sizeof values[i]);
    if (!status)
        return nft_file_writer_commit(writer);
    nft_file_writer_free(writer);
    return status;
}

static const struct {
    const char *name;
    nft_status (*call)(const char *path);
} savers[] = {{"arrays", save_arrays},
              {"weights", save_weights},
              {"a model", save_model},
              {"pieces", save_pieces},
              {"a checkpoint", save_checkpoint}};

static nft_status load_model(const char *path)
{
    nft_model *model = NULL;
    nft_status status = nft_model_load(&model, path, NULL);
    assert_int_equal(!status, model != NULL);
    nft_model_free(model);
    return status;
}

static nft_status load_weights(const char *path)
{
    nft_weights *set = NULL;
    nft_status status = nft_weights_load(&set, path, NULL);
    assert_int_equal(!status, set != NULL);
    nft_weights_free(set);
    return status;
}

static nft_status read_tensors(const char *path)
{
    nft_file *file = NULL;
    nft_status status = nft_file_open(&file, path, NULL);
    assert_int_equal(!status, file != NULL);
    for (int64_t i = 0; !status && i < nft_file_tensor_count(file); i++) {
        nft_tensor_info info = NFT_TENSOR_INFO_INIT;
        nft_array *array = NULL;
        assert_ok(nft_file_tensor(&info, file, i));
        status = nft_file_read(&array, file, info.name, 0, NFT_ALL);
        assert_int_equal(!status, array != NULL);
        nft_array_free(array);
    }
    nft_file_free(file);
    return status;
}

static nft_status read_samples(const char *path)
{
    const int64_t samples[] = {3, 0};
    nft_dataset *dataset = NULL;
    nft_weights *two = NULL;
    nft_status status = nft_weights_create(&two, nft_model_describe(f.model)->space, 2, 1, NULL);
    if (!status)
        status = nft_dataset_open(&dataset, path, NULL);
    if (!status)
        status = nft_dataset_read(two, dataset, samples, 2);
    nft_dataset_free(dataset);
    nft_weights_free(two);
    return status;
}

static nft_status resume(const char *path)
{
    return nft_trainer_resume(f.trainer, path);
}

static const struct {
    const char *name;
    nft_status (*save)(const char *path);
    nft_status (*call)(const char *path);
} loaders[] = {{"a model", save_model, load_model},
               {"weights", save_weights, load_weights},
               {"tensors", save_weights, read_tensors},
               {"samples", save_weights, read_samples},
               {"a checkpoint", save_checkpoint, resume}};

/* --- checks --- */

static nft_status with_fault(enum file_fault fault, int at, nft_status (*call)(const char *path),
                             const char *path)
{
    file_faults(fault, at);
    nft_status status = call(path);
    file_plan.fault = FAULT_NONE;
    return status;
}

static void expect_old_file(const char *path)
{
    size_t size = 0;
    char *bytes = support_read(path, &size);
    assert_int_equal(size, strlen(OLD));
    assert_memory_equal(bytes, OLD, size);
    free(bytes);
}

static void expect_fault(const char *what, const char *file, const char *reason)
{
    if (!strstr(nft_error_message(), file) || !strstr(nft_error_message(), reason))
        fail_msg("%s: the message is \"%s\", expected %s and \"%s\" in it", what, nft_error_message(), file,
                 reason);
}

/* --- tests --- */

static bool is_old_file(const char *path)
{
    size_t size = 0;
    char *bytes = support_read(path, &size);
    bool same = size == strlen(OLD) && !memcmp(bytes, OLD, size);
    free(bytes);
    return same;
}

/* Of some calls nobody minds: the look whether a new file is still there; and once it has its name, those
 * that open, synchronise and close its folder, and the end of the lock on it. */
static bool may_be_ignored(const char *path)
{
    return file_plan.met == CALL_STAT || !is_old_file(path);
}
#define CALLS_WITH_A_NAME 4

static void any_call_of_a_save_may_fail(void **state)
{
    (void)state;
    const char *path = temporary_path(TARGET);
    int met[FILE_CALLS] = {0}, count = 0, ignored = 0;
    for (size_t s = 0; s < COUNT(savers); s++)
        for (int at = 0;; at++, count++) {
            temporary_write(path, OLD, strlen(OLD));
            nft_status status = with_fault(FAULT_FAILS, at, savers[s].call, path);
            if (!file_plan.hit) {
                assert_int_equal(status, NFT_OK);
                break;
            }
            assert_int_equal(temporary_entries(0), 1);
            if (!status && may_be_ignored(path)) {
                assert_ok(read_tensors(path));
                ignored++;
                continue;
            }
            met[file_plan.met]++;
            assert_int_equal(status, NFT_ERROR_FILE);
            expect_fault(savers[s].name, TARGET, strerror(file_calls[file_plan.met].code));
            expect_old_file(path);
        }
    assert_int_equal(ignored, (1 + CALLS_WITH_A_NAME) * COUNT(savers));
    assert_true(met[CALL_OPEN] && met[CALL_WRITE] && met[CALL_SYNC] && met[CALL_CLOSE] && met[CALL_RENAME]);
    print_message("%d calls failed\n", count);
    temporary_entries(1);
}

/* A killed process leaves a temporary file, never one under the target's name, and the next save removes it.
 */
static void a_save_may_be_killed_anywhere(void **state)
{
    (void)state;
    const char *path = temporary_path(TARGET);
    int count = 0, renamed = 0;
    for (size_t s = 0; s < COUNT(savers); s++)
        for (int at = 0, alive = 0; !alive; at++, count += !alive) {
            int status = 0;
            temporary_write(path, OLD, strlen(OLD));
            pid_t child = fork();
            assert_true(child >= 0);
            if (child == 0)
                _exit(with_fault(FAULT_KILLS, at, savers[s].call, path) ? 1 : 0);
            assert_int_equal(waitpid(child, &status, 0), child);
            alive = WIFEXITED(status);
            if (alive) {
                assert_int_equal(WEXITSTATUS(status), 0);
            } else if (is_old_file(path)) {
                assert_in_range(temporary_entries(0), 1, 2);
            } else { /* after the rename, before the lock was released */
                assert_ok(read_tensors(path));
                assert_int_equal(temporary_entries(0), 1);
                renamed++;
            }
            assert_ok(savers[s].call(path));
            assert_ok(read_tensors(path));
            assert_int_equal(temporary_entries(0), 1);
            temporary_entries(1);
        }
    print_message("%d times killed\n", count);
    assert_int_equal(renamed, CALLS_WITH_A_NAME * COUNT(savers));
    assert_true(count > 20);
}

static void pause_for(long microseconds)
{
    nanosleep(&(struct timespec){0, microseconds * 1000}, NULL);
}

/* The same without knowing where. */
static void a_save_may_be_killed_at_any_time(void **state)
{
    (void)state;
    const char *path = temporary_path(TARGET);
    assert_ok(nft_weights_save(f.large, path));
    for (int i = 0; i < 20; i++) {
        int status = 0;
        pid_t child = fork();
        assert_true(child >= 0);
        while (child == 0)
            if (nft_weights_save(f.large, path))
                _exit(1);
        pause_for(500 + 700 * i);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_ok(load_weights(path));
    }
    temporary_entries(1);
}

/* Whoever writes to the same path meanwhile is not taken for one that was killed: each save leaves a whole
 * file, the last one its own. */
static void saves_of_one_target_do_not_meet(void **state)
{
    (void)state;
    enum { WRITERS = 20 }; /* more than have separate places */
    const nft_tensor_info tensor = {
        .size = sizeof tensor, .name = "a", .type = "I64", .rank = 1, .shape = {1}};
    const char *path = temporary_path(TARGET);
    nft_file_writer *writers[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        assert_ok(nft_file_writer_create(&writers[i], path, &tensor, 1, NULL));
    assert_int_equal(temporary_entries(0), WRITERS);
    assert_ok(save_weights(path));
    for (int64_t i = 0; i < WRITERS; i++) {
        size_t size = 0;
        assert_ok(nft_file_writer_append(writers[i], &i, sizeof i));
        assert_ok(nft_file_writer_commit(writers[i]));
        char *bytes = support_read(path, &size);
        assert_memory_equal(bytes + size - sizeof i, &i, sizeof i);
        free(bytes);
    }
    assert_int_equal(temporary_entries(1), 1);
}

/* The same with processes, some of which are killed. */
static void processes_save_one_target(void **state)
{
    (void)state;
    enum { PROCESSES = 4, SAVES = 60 };
    const char *path = temporary_path(TARGET);
    pid_t children[PROCESSES];
    assert_ok(save_weights(path));
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        for (int k = 0; children[i] == 0; k++)
            if (k == SAVES || (i % 2 ? save_weights(path) : nft_weights_save(f.large, path)))
                _exit(k == SAVES ? 0 : 1);
    }
    pause_for(20000);
    kill(children[PROCESSES - 1], SIGKILL);
    for (int i = 0; i < 30; i++)
        assert_ok(load_weights(path));
    for (int i = 0; i < PROCESSES; i++) {
        int status = 0;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(i == PROCESSES - 1 || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    }
    assert_ok(save_weights(path));
    assert_ok(load_weights(path));
    assert_in_range(temporary_entries(1), 1,
                    2); /* another's place may be free before that of the killed one */
}

/* A file with such a name that libnft did not write stays. */
static void strangers_stay(void **state)
{
    (void)state;
    const char *path = temporary_path(TARGET), *link = temporary_path("." TARGET ".nft-0.tmp"),
               *folder = temporary_path("." TARGET ".nft-1.tmp");
    temporary_write(temporary_path("elsewhere"), OLD, strlen(OLD));
    assert_int_equal(symlink("elsewhere", link), 0);
    assert_int_equal(mkdir(folder, 0755), 0);
    assert_ok(save_weights(path));
    assert_ok(load_weights(path));
    expect_old_file(temporary_path("elsewhere"));
    assert_int_equal(temporary_entries(1), 4);
}

/* A name that leaves no room for more. */
static void long_names(void **state)
{
    (void)state;
    char name[256];
    memset(name, 'n', 255);
    name[255] = 0;
    assert_ok(save_weights(temporary_path(name)));
    assert_ok(load_weights(temporary_path(name)));
    assert_int_equal(temporary_entries(1), 1);
}

static void any_call_of_a_load_may_fail(void **state)
{
    (void)state;
    const char *path = temporary_path(TARGET);
    int met[FILE_CALLS] = {0};
    for (size_t l = 0; l < COUNT(loaders); l++) {
        assert_ok(loaders[l].save(path));
        for (int at = 0;; at++) {
            nft_status status = with_fault(FAULT_FAILS, at, loaders[l].call, path);
            if (!file_plan.hit || file_plan.met == CALL_CLOSE) { /* of a file that was read: nobody cares */
                assert_int_equal(status, NFT_OK);
                if (!file_plan.hit)
                    break;
                continue;
            }
            met[file_plan.met]++;
            assert_int_equal(status, NFT_ERROR_FILE);
            expect_fault(loaders[l].name, TARGET, strerror(file_calls[file_plan.met].code));
        }
        assert_ok(loaders[l].call(path));
    }
    assert_true(met[CALL_OPEN] && met[CALL_STAT] && met[CALL_READ]);
    temporary_entries(1);
}

static void a_file_may_shrink_while_it_is_read(void **state)
{
    (void)state;
    const char *path = temporary_path(TARGET);
    for (size_t l = 0; l < COUNT(loaders); l++) {
        int count = 0;
        assert_ok(loaders[l].save(path));
        for (int at = 0;; at++, count++) {
            nft_status status = with_fault(FAULT_ENDS, at, loaders[l].call, path);
            if (!status)
                break;
            assert_true(file_plan.hit);
            assert_int_equal(status, NFT_ERROR_FORMAT);
            expect_fault(loaders[l].name, TARGET, "did it change while it was read?");
        }
        assert_true(count >= 3);
    }
    temporary_entries(1);
}

/* Neither is a failure: the next call does the rest. */
static void calls_may_be_interrupted_and_do_a_part(void **state)
{
    (void)state;
    const enum file_fault faults[] = {FAULT_SHORT, FAULT_INTERRUPT};
    const char *path = temporary_path(TARGET);
    for (size_t i = 0; i < COUNT(faults); i++) {
        for (size_t s = 0; s < COUNT(savers); s++) {
            size_t size = 0, other_size = 0;
            assert_ok(savers[s].call(path));
            void *expected = support_read(path, &size);
            assert_ok(with_fault(faults[i], 0, savers[s].call, path));
            void *bytes = support_read(path, &other_size);
            assert_int_equal(size, other_size);
            assert_memory_equal(bytes, expected, size);
            free(bytes);
            free(expected);
        }
        for (size_t l = 0; l < COUNT(loaders); l++) {
            assert_ok(loaders[l].save(path));
            assert_ok(with_fault(faults[i], 0, loaders[l].call, path));
        }
    }
    temporary_entries(1);
}

/* After a write that failed the file is not known: it cannot become the target. */
static bool commit_is_refused(const char *path)
{
    static const char bytes[1 << 18];
    const nft_tensor_info tensor = {
        .size = sizeof tensor, .name = "a", .type = "F32", .rank = 1, .shape = {sizeof bytes / 4}};
    nft_file_writer *writer = NULL;
    return !nft_file_writer_create(&writer, path, &tensor, 1, NULL) &&
           nft_file_writer_append(writer, bytes, sizeof bytes) == NFT_ERROR_FILE &&
           nft_file_writer_commit(writer) == NFT_ERROR_FILE &&
           strstr(nft_error_message(), "a write has failed before");
}

/* In a child, because it mounts a separate file system. Exits with 0, 1, or 77 where that is not allowed. */
static void fill_a_disk(const char *folder)
{
    char path[600];
    snprintf(path, sizeof path, "%s/" TARGET, folder);
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", folder, "tmpfs", 0, "size=64k"))
        _exit(77);
    temporary_write(path, OLD, strlen(OLD));
    bool refused = commit_is_refused(path);
    nft_status status = nft_weights_save(f.large, path);
    char bytes[sizeof OLD] = {0};
    FILE *kept = fopen(path, "rb");
    bool whole = kept && fread(bytes, 1, sizeof bytes, kept) == strlen(OLD) && !strcmp(bytes, OLD);
    bool told = status == NFT_ERROR_FILE &&
                strstr(nft_error_message(), TARGET ": cannot write: No space left on device");
    bool works = !nft_weights_save(f.set, path); /* there is room again */
    if (!whole || !told || !works || !refused)
        fprintf(stderr, "old file %s, commit %s, message \"%s\"\n", whole ? "whole" : "lost",
                refused ? "refused" : "done", nft_error_message());
    _exit(whole && told && works && refused ? 0 : 1);
}

static void a_disk_may_be_full(void **state)
{
    (void)state;
    int status = 0;
    const char *folder = temporary_path("disk");
    assert_int_equal(mkdir(folder, 0755), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        fill_a_disk(folder);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(rmdir(folder), 0);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("a file system cannot be mounted here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Root may write anywhere, so the child is somebody else. */
static void a_folder_may_be_read_only(void **state)
{
    (void)state;
    const char *path = temporary_path(TARGET);
    temporary_write(path, OLD, strlen(OLD));
    assert_int_equal(chmod(temporary_folder, 0555), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && setuid(65534))
            _exit(77);
        bool told = save_weights(path) == NFT_ERROR_FILE && strstr(nft_error_message(), TARGET ": cannot ") &&
                    strstr(nft_error_message(), "Permission denied");
        _exit(told ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(temporary_folder, 0755), 0);
    assert_true(WIFEXITED(status));
    expect_old_file(path);
    assert_int_equal(temporary_entries(1), 1);
    if (WEXITSTATUS(status) == 77) {
        print_message("root cannot be somebody else here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int open_fixture(void **state)
{
    const int64_t widths[] = {2, 100, 100, 1};
    nft_space *space = NULL;
    f.model = support_model(PREDICTOR, 1);
    f.set = make_set(f.model, SAMPLES, 2);
    assert_ok(nft_space_create_mlp(&space, widths, 4));
    f.large = support_weights(space, 50, 1, 4);
    nft_space_free(space);
    f.trainer = make_trainer(f.model, RECIPE, 1);
    assert_ok(set_data(f.trainer, f.set, NULL));
    assert_ok(nft_trainer_step(NULL, f.trainer));
    return temporary_open(state);
}

static int close_fixture(void **state)
{
    nft_trainer_free(f.trainer);
    nft_weights_free(f.large);
    nft_weights_free(f.set);
    nft_model_free(f.model);
    return temporary_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_call_of_a_save_may_fail),
        cmocka_unit_test(a_save_may_be_killed_anywhere),
        cmocka_unit_test(a_save_may_be_killed_at_any_time),
        cmocka_unit_test(saves_of_one_target_do_not_meet),
        cmocka_unit_test(processes_save_one_target),
        cmocka_unit_test(strangers_stay),
        cmocka_unit_test(long_names),
        cmocka_unit_test(any_call_of_a_load_may_fail),
        cmocka_unit_test(a_file_may_shrink_while_it_is_read),
        cmocka_unit_test(calls_may_be_interrupted_and_do_a_part),
        cmocka_unit_test(a_disk_may_be_full),
        cmocka_unit_test(a_folder_may_be_read_only),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
