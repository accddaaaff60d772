/* The limits of control groups, in folders that look like theirs. */
#define _XOPEN_SOURCE 700
#include "base/cgroup.h"
#include "unit/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

static const char *const folders[] = {"memory", "memory/a",  "memory/a/b", "cpu",          "cpu/a",
                                      "group",  "group/own", "unified",    "unified/group"};
#define FOLDERS (int)(sizeof folders / sizeof *folders)

static int make_folders(void **state)
{
    if (temporary_open(state))
        return -1;
    for (int i = 0; i < FOLDERS; i++)
        if (mkdir(temporary_path(folders[i]), 0777))
            return -1;
    return 0;
}

static int remove_folders(void **state)
{
    for (int i = FOLDERS; i-- > 0;)
        if (rmdir(temporary_path(folders[i])))
            return -1;
    return temporary_close(state);
}

static void setting(const char *name, const char *text)
{
    temporary_write(temporary_path(name), text, strlen(text));
}

static void expect_limits(const char *membership, int64_t memory, int64_t cores)
{
    setting("membership", membership);
    nft_cgroup limits = nft_cgroup_read(temporary_path("membership"), temporary_folder);
    assert_int_equal(limits.memory, memory);
    assert_int_equal(limits.cores, cores);
}

static void forget(const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(remove(temporary_path(names[i])), 0);
}

static void the_least_limit_up_the_hierarchy_of_version_1_counts(void **state)
{
    (void)state;
    static const char *const names[] = {"memory/memory.limit_in_bytes", "memory/a/memory.limit_in_bytes",
                                        "memory/a/b/memory.limit_in_bytes", "cpu/a/cpu.cfs_quota_us",
                                        "cpu/a/cpu.cfs_period_us"};
    setting(names[0], "9223372036854771712\n");
    setting(names[1], "2000000\n");
    setting(names[2], "3000000\n");
    setting(names[3], "250000\n");
    setting(names[4], "100000\n");
    expect_limits("9:name=systemd:/\n4:memory:/a/b\n1:cpu,cpuacct:/a\n", 2000000, 3);
    expect_limits("1:cpuacct,cpu:/a\n", INT64_MAX, 3);
    expect_limits("4:memory:/\n", 9223372036854771712, INT64_MAX);
    expect_limits("4:memory:/of/the/host\n", 9223372036854771712, INT64_MAX);
    expect_limits("4:memory_of_another:/a/b\n", INT64_MAX, INT64_MAX);
    setting(names[3], "-1\n");
    expect_limits("1:cpu:/a", INT64_MAX, INT64_MAX);
    setting(names[3], "50000\n");
    expect_limits("1:cpu:/a", INT64_MAX, 1);
    forget(names, 5);
}

static void the_least_limit_up_the_hierarchy_of_version_2_counts(void **state)
{
    (void)state;
    static const char *const names[] = {"group/memory.max", "group/own/memory.max", "group/cpu.max",
                                        "group/own/cpu.max", "unified/group/memory.max"};
    setting(names[0], "1000000\n");
    setting(names[1], "max\n");
    setting(names[2], "max 100000\n");
    setting(names[3], "150000 100000\n");
    setting(names[4], "500000\n");
    expect_limits("0::/group/own\n", 500000, 2);
    assert_int_equal(remove(temporary_path(names[4])), 0);
    expect_limits("0::/group/own\n", 1000000, 2);
    expect_limits("0::/group\n", 1000000, INT64_MAX);
    setting(names[3], "50000 100000\n");
    expect_limits("0::/group/own\n", 1000000, 1);
    setting(names[3], "nonsense\n");
    expect_limits("0::/group/own\n", 1000000, INT64_MAX);
    forget(names, 4);
}

static void without_groups_nothing_is_limited(void **state)
{
    (void)state;
    expect_limits("0::/\n", INT64_MAX, INT64_MAX);
    expect_limits("no colons\n\n", INT64_MAX, INT64_MAX);
    nft_cgroup limits = nft_cgroup_read(temporary_path("absent"), temporary_folder);
    assert_int_equal(limits.memory, INT64_MAX);
    assert_int_equal(limits.cores, INT64_MAX);
    assert_true(nft_cgroup_limits()->memory > 0 && nft_cgroup_limits()->cores > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_limit_up_the_hierarchy_of_version_1_counts),
        cmocka_unit_test(the_least_limit_up_the_hierarchy_of_version_2_counts),
        cmocka_unit_test(without_groups_nothing_is_limited),
    };
    return cmocka_run_group_tests_name("control groups", tests, make_folders, remove_folders);
}
