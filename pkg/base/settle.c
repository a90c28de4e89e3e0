/* SPDX-License-Identifier: Apache-2.0 */
#include "base/settle.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE_BLOCK (128 * 1024)

/* glibc would take larger and larger blocks from its heap, each time that one of them is freed, and
 * give libcurl's thread that resolves names a heap of its own. */
void settle_begin(void)
{
	mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
	mallopt(M_ARENA_MAX, 1);
}

/*
 * libcurl has thirty libraries loaded. To link and to begin, symbols are looked up in all of them,
 * and the kernel maps 64 KiB around each page that is touched: seven megabytes, of which hardly one
 * is ever used again. A segment that is not writable has no page of its own, so nothing is lost;
 * the vDSO is the kernel's.
 */
static int segments_release(struct dl_phdr_info *info, size_t size, void *data)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = (info->dlpi_addr + p->p_vaddr) & ~(page - 1);
		uintptr_t to = (info->dlpi_addr + p->p_vaddr + p->p_memsz + page - 1) & ~(page - 1);

		if (p->p_type == PT_LOAD && !(p->p_flags & PF_W) &&
		    from != getauxval(AT_SYSINFO_EHDR))
			madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 0;
}

void settle(void)
{
	malloc_trim(0);
	dl_iterate_phdr(segments_release, NULL);
}
