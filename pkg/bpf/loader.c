/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in force must never pause. So maps that are pinned are taken over with
 * their content, and each program's pin is exchanged by rename: whoever opens it
 * gets the old one or the new one. Programs that are attached stay attached
 * whatever happens to the pins; attaching the new ones is dataplane's work.
 *
 * Whether the pinned programs are of this build is told by the digest of the
 * object file, kept in the pinned map "build": 0 is written there first and the
 * digest last, so that a loader that dies halfway is simply repeated.
 */
#include "bpf/loader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "sluice.skel.h"
#pragma GCC diagnostic pop

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/mem.h"
#include "bpf/abi.h"

#define BPFFS_ROOT  "/sys/fs/bpf"
#define PIN_NEW	    "_new" /* bpffs refuses dots in names */
#define DIGEST_SEED 0x534c5501u

/* libbpf names the map or program that failed only in its log: the last warning goes into the
 * error. */
static char first_warning[256];

static int warning_keep(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (level != LIBBPF_WARN || first_warning[0])
		return 0;
	vsnprintf(first_warning, sizeof(first_warning), fmt, args);
	first_warning[strcspn(first_warning, "\n")] = '\0';
	return 0;
}

static libbpf_print_fn_t print_before;

void bpf_warnings_keep(void)
{
	first_warning[0] = '\0';
	print_before = libbpf_set_print(warning_keep);
}

const char *bpf_warnings_end(void)
{
	libbpf_set_print(print_before);
	return first_warning;
}

static void skeleton_destroyp(struct sluice_bpf **s)
{
	sluice_bpf__destroy(*s);
}

static bool is_bpffs(const char *path)
{
	struct statfs st;

	return !statfs(path, &st) && st.f_type == BPF_FS_MAGIC;
}

/* mkdir -p; bpffs counts as well as any other. */
static int folders_make(const char *path, struct err *e)
{
	__cleanup_free char *p = mem_strdup(path);

	for (char *slash = p + 1;; *slash++ = '/') {
		slash = strchrnul(slash, '/');
		bool last = !*slash;

		*slash = '\0';
		if (mkdir(p, 0700) && errno != EEXIST)
			return err_sys(e, -errno, "%s", p);
		if (last)
			return 0;
	}
}

/* The folder, on a bpffs: an existing one, /sys/fs/bpf mounted now, or one of its own. */
static int bpffs_prepare(const char *dir, struct err *e)
{
	size_t n = strlen(BPFFS_ROOT);
	bool below_root = !strncmp(dir, BPFFS_ROOT, n) && (dir[n] == '/' || !dir[n]);
	int rc;

	if (below_root && !is_bpffs(BPFFS_ROOT) && mount("bpf", BPFFS_ROOT, "bpf", 0, "mode=0700"))
		return err_sys(e, -errno, "mount bpffs on %s", BPFFS_ROOT);
	rc = folders_make(dir, e);
	if (rc)
		return rc;
	if (!is_bpffs(dir) && mount("bpf", dir, "bpf", 0, "mode=0700"))
		return err_sys(e, -errno, "mount bpffs on %s", dir);
	return 0;
}

static uint64_t object_digest(void)
{
	size_t size;
	const void *elf = sluice_bpf__elf_bytes(&size);

	return hash_bytes(elf, size, DIGEST_SEED);
}

/* All maps and programs pinned, and of this build? */
static bool loaded_already(const char *dir, const char *pins)
{
	__cleanup_free char *build = mem_printf("%s/build", pins);
	__cleanup_close int fd = bpf_obj_get(build);
	uint64_t digest = 0;
	uint32_t zero = 0;

	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, &digest) || digest != object_digest())
		return false;
	return bpf_pins_whole(dir);
}

static int program_pin(const char *pins, struct bpf_program *prog, struct err *e)
{
	__cleanup_free char *path = mem_printf("%s/%s", pins, bpf_program__name(prog));
	__cleanup_free char *fresh = mem_printf("%s" PIN_NEW, path);

	if (unlink(fresh) && errno != ENOENT)
		return err_sys(e, -errno, "unlink %s", fresh);
	if (bpf_obj_pin(bpf_program__fd(prog), fresh))
		return err_sys(e, -errno, "pin %s", fresh);
	if (rename(fresh, path))
		return err_sys(e, -errno, "rename %s", fresh);
	return 0;
}

static int object_load(struct sluice_bpf *s, struct err *e)
{
	int rc = sluice_bpf__load(s);

	if (rc == -EPERM)
		return err_set(e, rc, "load BPF programs: needs CAP_BPF and CAP_NET_ADMIN (%s)",
			       first_warning);
	if (rc)
		return err_sys(e, rc, "load BPF programs (%s)", first_warning);
	return 0;
}

/*
 * libbpf tries what the kernel can do, and takes a failure that passes for a "no" that
 * stays: the programs would have no names, by which alone they are known again.
 */
static int names_verify(struct sluice_bpf *s, struct err *e)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, s->obj)
	{
		struct bpf_prog_info info = {};
		uint32_t len = sizeof(info);

		if (bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len))
			return err_sys(e, -errno, "program %s", bpf_program__name(prog));
		if (!info.name[0])
			return err_set(e, -EAGAIN,
				       "program %s was loaded without its name: start again",
				       bpf_program__name(prog));
	}
	return 0;
}

static int build_set(struct sluice_bpf *s, uint64_t digest, struct err *e)
{
	uint32_t zero = 0;

	if (bpf_map_update_elem(bpf_map__fd(s->maps.build), &zero, &digest, BPF_ANY))
		return err_sys(e, -errno, "map build");
	return 0;
}

static int load_and_pin(const char *pins, struct err *e)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = pins);
	__cleanup(skeleton_destroyp) struct sluice_bpf *s = sluice_bpf__open_opts(&opts);
	struct bpf_program *prog;
	int rc;

	if (!s)
		return err_sys(e, -errno, "open BPF object (%s)", first_warning);
	rc = object_load(s, e);
	if (!rc)
		rc = names_verify(s, e);
	if (!rc)
		rc = build_set(s, 0, e);
	if (rc)
		return rc;
	bpf_object__for_each_program(prog, s->obj)
	{
		rc = program_pin(pins, prog, e);
		if (rc)
			return rc;
	}
	return build_set(s, object_digest(), e);
}

int bpf_load(const char *dir, struct err *e)
{
	__cleanup_free char *pins = mem_printf("%s/v%d", dir, SLU_ABI);
	__cleanup_close int lock = -1;
	int rc;

	rc = bpffs_prepare(dir, e);
	if (!rc)
		rc = folders_make(pins, e);
	if (rc)
		return rc;
	lock = open(pins, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0 || flock(lock, LOCK_EX))
		return err_sys(e, -errno, "lock %s", pins);
	if (loaded_already(dir, pins))
		return 0;
	bpf_warnings_keep();
	rc = load_and_pin(pins, e);
	bpf_warnings_end();
	return rc;
}

/* Everything in the folder; nobody else pins there. */
static int folder_empty(const char *path, struct err *e)
{
	__cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int rc = 0;

	if (!d)
		return errno == ENOENT ? -ENOENT : err_sys(e, -errno, "%s", path);
	for (struct dirent *de; !rc && (de = readdir(d));) {
		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		if (unlinkat(fd, de->d_name, 0))
			rc = err_sys(e, -errno, "unlink %s/%s", path, de->d_name);
	}
	fd = -1;
	closedir(d);
	return rc;
}

static int pins_remove(const char *pins, struct err *e)
{
	int rc = folder_empty(pins, e);

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	return rmdir(pins) ? err_sys(e, -errno, "rmdir %s", pins) : 0;
}

/* v<N>, which no other program than ours names a folder below our own */
static bool is_other_version(const char *name)
{
	char *end;
	long version;

	if (name[0] != 'v' || name[1] < '1' || name[1] > '9')
		return false;
	version = strtol(name + 1, &end, 10);
	return !*end && version != SLU_ABI;
}

int bpf_unload_others(const char *dir, struct err *e)
{
	DIR *d = opendir(dir);
	int rc = 0;

	if (!d)
		return errno == ENOENT ? 0 : err_sys(e, -errno, "%s", dir);
	for (struct dirent *de; !rc && (de = readdir(d));) {
		__cleanup_free char *pins = mem_printf("%s/%s", dir, de->d_name);

		if (is_other_version(de->d_name))
			rc = pins_remove(pins, e);
	}
	closedir(d);
	return rc;
}

int bpf_unload(const char *dir, struct err *e)
{
	__cleanup_free char *pins = mem_printf("%s/v%d", dir, SLU_ABI);
	int rc = pins_remove(pins, e);

	if (!rc)
		rc = bpf_unload_others(dir, e);
	if (rc)
		return rc;
	if (rmdir(dir) && errno != EBUSY && errno != ENOTEMPTY && errno != ENOENT)
		return err_sys(e, -errno, "rmdir %s", dir);
	return 0;
}
