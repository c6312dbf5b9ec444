// The life of a handle, as handle.go, pool.go and compact.go have it: two users and the compactor, each step of one
// word or of one part of an object by itself. README.md says what is checked; check runs it.

#ifndef HANDLES
#define HANDLES 2 // fewer than slots, and all shared by both users
#define SLOTS 3   // room for objects; to the protocol it is the same in which zspage each is
#endif

// The deviations, one per run: -DBUG=name.
#define PUBLISH_UNPINNED 1    // the kernel until January 2016
#define PUBLISH_KEEPS_BIT 2   // record_obj reads the pin bit from the old word
#define PUBLISH_BEFORE_COPY 3
#define FREE_BEFORE_PUBLISH 4
#define WAIT_UNDER_LOCK 5     // compaction waits for a pin
#define PUBLISH_TWICE 6       // the location first, then the bit
#define HANDLE_FIRST 7        // free the handle, then the object
#define NO_RELEASE 8          // with KERNEL: unpin orders nothing
#define UNLOCK_BY_STORE 9     // with KERNEL: publish unpinned, leave unpin out, as two reviewers accepted
#define UNLOCK_BY_RELEASE 10  // the same with a releasing store; correct
// States that must be reached, one per run: -DSEE=name.
#define WAIT_FOR_MOVE 1       // a user waits for the compactor's pin
#define MOVED_DURING_PIN 2    // a user's compare-and-swap fails because the object was moved
#define READ_AFTER_MOVE 3
#define FREE_AFTER_MOVE 4
#define STALE_PIN_BIT 5       // malloc publishes over a set bit
#define SKIP_PINNED 6         // compaction meets a user's pin
#define DEAD_HANDLE 7         // a pin attempt outlives the handle
#define RECYCLED_SLOT 8       // malloc takes the room that a move left
#define LATE_COPY 9           // WEAK: a new location is visible, a part of the copy is not
#define OLDER_LIFE 10         // a user pins a handle that was freed and handed out again since its load

// handle.go: live | location | pin. The word of a free handle is not live; the rest of it may be anything.
#define UNPINNED(s) (8 | (s) << 1)
#define PINNED(s)   (UNPINNED(s) | 1)
#define LIVE(w)     ((w) & 8)
#define PIN(w)      ((w) & 1)
#define LOC(w)      ((w) >> 1 & 3)
byte word[HANDLES];
bool taken[HANDLES]; // not in the free list
byte classMu;        // whose

// An object of handle h holds MINE(h) three times: as its header (handle and tag), and in both halves of its bytes.
#define MINE(h) ((h) + 1)
byte header[SLOTS], low[SLOTS], high[SLOTS]; // 0: free, poisoned

// Ghosts: what is true, whatever the words say.
#define ME (_pid + 1)
byte owner[HANDLES]; // of the pin, 0 for nobody
bool acked[HANDLES]; // the caller was told that the object is stored, and has not asked to free it

// What must hold. An assertion that fails is reported by one of these names.
bool unpinner_owns_pin = true, publisher_owns_pin = true, pin_has_owner = true, object_is_whole = true,
	survives_kill = true, source_is_unreachable = true, header_names_live_handle = true, holder_unlocks = true;
#define CHECK(name, cond) name = (cond); assert(name)

#ifdef SEE
bool not_seen = true, moved[HANDLES], left[SLOTS], reborn[HANDLES * 2];
#define SEEN(state, cond) not_seen = !(SEE == state && (cond)); assert(not_seen)
#define NOTE(what) what
#else
#define SEEN(state, cond) skip
#define NOTE(what) skip
#endif

// WEAK: a store waits in its processor's buffer, and buffers empty in any order (PSO); a process sees its own.
// A releasing store, or read-modify-write, comes after all of its processor's earlier stores.
#ifdef WEAK
typedef buffer { byte word[HANDLES], header[SLOTS], low[SLOTS], high[SLOTS] } // value+1, 0 for none
buffer buf[3];
#define B buf[_pid]
#define STORE(x, i, v) atomic { B.x[i] == 0 -> B.x[i] = (v) + 1 }
#define LOAD(x, i)     (B.x[i] -> B.x[i] - 1 : x[i])
#define RELAXED(h)     (B.word[h] == 0) // a read-modify-write is in order with stores to its own word at least
#define RELEASE        (!(B.word[0] | B.header[0] | B.header[1] | B.low[0] | B.low[1] | B.high[0] | B.high[1]))
#define STEP           atomic // its stores may have to wait
#define LATE(p, x, i)  :: atomic { buf[p].x[i] -> x[i] = buf[p].x[i] - 1; buf[p].x[i] = 0 }
#define LATER(p) LATE(p, low, 0) LATE(p, low, 1) LATE(p, high, 0) LATE(p, high, 1) LATE(p, header, 0) LATE(p, header, 1) \
	:: atomic { buf[p].word[0] -> SEEN(LATE_COPY, p == 2 && (buf[p].low[0] | buf[p].low[1])); \
		word[0] = buf[p].word[0] - 1; buf[p].word[0] = 0 }
#else
#define STORE(x, i, v) x[i] = (v)
#define LOAD(x, i)     x[i]
#define RELAXED(h)     true
#define STEP           d_step
#define RELEASE        true
#endif

#ifdef FAIR // the next who waits gets the lock, as in sync.Mutex's starvation mode; else anybody, which is more
bool wants[4];
#define NEXT(n) ((ME + n - 1) % 3 + 1)
inline lock()   { wants[ME] = true; atomic { classMu == 0 || classMu == ME -> classMu = ME; wants[ME] = false } }
inline unlock() {
	atomic {
		CHECK(holder_unlocks, classMu == ME);
		classMu = (wants[NEXT(1)] -> NEXT(1) : (wants[NEXT(2)] -> NEXT(2) : 0))
	}
}
#else
inline lock()   { STEP { classMu == 0 -> classMu = ME } }
inline unlock() { STEP { RELEASE -> CHECK(holder_unlocks, classMu == ME); classMu = 0 } }
#endif

// handles.alloc; handles.mu is a leaf, so it and free are one step each.
inline allocHandle(h) {
	atomic {
		if
		:: !taken[0] -> h = 0
		:: HANDLES > 1 && !taken[HANDLES - 1] -> h = HANDLES - 1
		fi;
		taken[h] = true; NOTE(moved[h] = false)
	}
}

// handles.free. Go's clears the pin bit; here it stays as it is, for recordObj must not care what a recycled word holds.
inline freeHandle(h) {
	STEP {
		RELEASE -> CHECK(unpinner_owns_pin, owner[h] == ME || !LIVE(word[h]));
		word[h] = PIN(word[h]);
		owner[h] = 0; taken[h] = false; NOTE(reborn[h * 2] = true); NOTE(reborn[h * 2 + 1] = true)
	}
}

// recordObj: one store. The ghost stays: only unpin ends a pin.
inline recordObj(h, w) {
	STEP {
#ifndef KERNEL
		RELEASE; // Go's atomics are sequentially consistent
#endif
		CHECK(publisher_owns_pin, owner[h] == (LIVE(word[h]) -> ME : 0));
#if BUG == PUBLISH_KEEPS_BIT
		word[h] = w | PIN(word[h])
#elif defined(KERNEL)
		STORE(word, h, w) // WRITE_ONCE
#else
		word[h] = w
#endif
	}
}

// pin of handle.go, without the wait of backoff: nothing happens until the word is another.
inline pin(h) {
	ok = false;
	do
	:: atomic { old = LOAD(word, h); NOTE(reborn[h * 2 + _pid] = false) } // w.Load()
		if
		:: atomic { !LIVE(old) -> SEEN(DEAD_HANDLE, true) } break
		:: LIVE(old) && PIN(old) -> atomic { SEEN(WAIT_FOR_MOVE, owner[h] == 3); LOAD(word, h) != old }
		:: LIVE(old) && !PIN(old) -> // tryPin
			atomic {
				RELAXED(h);
				if
				:: word[h] == old -> word[h] = old | 1; owner[h] = ME; l = LOC(old); old = 0; ok = true;
					SEEN(OLDER_LIFE, reborn[h * 2 + _pid]); break
				:: else -> SEEN(MOVED_DURING_PIN, LIVE(word[h]) && moved[h])
				fi
			}
		fi
	od
}

// unpin: an And, and a release.
inline unpin(h) {
	STEP {
#if BUG == NO_RELEASE
		RELAXED(h);
#else
		RELEASE;
#endif
		CHECK(unpinner_owns_pin, owner[h] == ME);
		word[h] = word[h] & 14; owner[h] = 0
	}
}

// putObjectLocked. What is freed nobody can follow a word to, nor could the next process if this one were killed now. Not
// counted: the word that the caller has pinned to free it, and words that others have pinned, which are being freed too.
#define LEADS(h, s) (LIVE(LOAD(word, h)) && LOC(LOAD(word, h)) == s && (owner[h] == 0 || owner[h] == ME))
inline putObject(s, mine) {
	STEP {
		CHECK(source_is_unreachable, !(LEADS(0, s) && mine != MINE(0)) && !(LEADS(HANDLES - 1, s) && mine != MINE(HANDLES - 1)));
		STORE(low, s, 0); STORE(high, s, 0); STORE(header, s, 0)
	}
}

inline freeSlot(s) { // takeFromLocked: any, for the order of the free list is nobody's business here
	if
	:: header[0] == 0 -> s = 0
	:: header[1] == 0 -> s = 1
	:: SLOTS > 2 && header[SLOTS - 1] == 0 -> s = SLOTS - 1
	fi
}

inline idle() { h = 0; l = 0; old = 0; ok = false } // fewer states

inline Malloc() {
	allocHandle(h);
	lock();
	if
	:: atomic {
			freeSlot(l); SEEN(RECYCLED_SLOT, left[l]); // takeObjectLocked
			STORE(header, l, MINE(h)) // *p.header(c, run, i) = header{handle: h, tag: tag}
		}
		atomic { SEEN(STALE_PIN_BIT, PIN(word[h])); recordObj(h, UNPINNED(l)) }
		atomic { unlock(); l = 0 }
		pin(h); // the caller fills the object in: zpool's worker
		STORE(low, l, MINE(h));
		STORE(high, l, MINE(h));
		atomic { acked[h] = true; unpin(h); idle() }
	:: true -> unlock(); atomic { freeHandle(h); idle() } // ErrNoSpace
	fi
}

inline Pin_Unpin() {
	pin(h);
	if
	:: ok ->
#ifdef KERNEL
		whole = true; // zs_map_object looks at no header
#else
		whole = (LOAD(header, l) == MINE(h)); // Pool.pin
#endif
		whole = whole && LOAD(low, l) == MINE(h);
		atomic {
			whole = whole && LOAD(high, l) == MINE(h);
			CHECK(object_is_whole, whole || !acked[h]); SEEN(READ_AFTER_MOVE, acked[h] && moved[h]); whole = false
		}
		atomic { unpin(h); idle() }
	:: atomic { else -> idle() } // ErrBadHandle
	fi
}

inline Free() {
	pin(h);
	if
	:: atomic { ok && acked[h] -> acked[h] = false }
#if BUG == HANDLE_FIRST
		freeHandle(h);
#endif
		lock();
		atomic { SEEN(FREE_AFTER_MOVE, moved[h]); putObject(l, MINE(h)) }
		unlock();
#if BUG != HANDLE_FIRST
		atomic { freeHandle(h); idle() }
#endif
	:: atomic { ok && !acked[h] -> unpin(h); idle() } // the handle was freed and handed out again meanwhile: nobody frees what he does not know
	:: atomic { !ok -> idle() } // ErrBadHandle
	fi
}

inline allocatedSlot(s) {
	if
	:: header[0] -> s = 0
	:: header[1] -> s = 1
	:: SLOTS > 2 && header[SLOTS - 1] -> s = SLOTS - 1
	fi
}

inline someHandle(h) { // one that was handed out; it may be dead by the time it is used
	if
	:: acked[0] -> h = 0
	:: HANDLES > 1 && acked[HANDLES - 1] -> h = HANDLES - 1
	fi
}

active [2] proctype user() { // 0 and 1
	byte h, l, old;
	bool ok, whole;
progress:
end:	do
	:: Malloc()
	:: atomic { someHandle(h) } Pin_Unpin()
	:: atomic { someHandle(h) } Free()
	od
}

// migrateLocked: one object from i to j.
inline migrate(i, j) {
	atomic {
		h = header[i] - 1; // p.header(c, src, i).handle
		CHECK(header_names_live_handle, taken[h] && LIVE(word[h]) && LOC(word[h]) == i)
	}
#if BUG == WAIT_UNDER_LOCK
	word[h] == UNPINNED(i);
#endif
	atomic {
		RELAXED(h);
		if
		:: word[h] == UNPINNED(i) -> word[h] = PINNED(i); owner[h] = ME // tryPin
		:: else -> SEEN(SKIP_PINNED, true); goto skipped
		fi
	}
	if
	:: true // takeFromLocked
	:: true -> unpin(h); goto skipped // its error
	fi;
#if BUG == PUBLISH_BEFORE_COPY
	recordObj(h, PINNED(j));
#endif
	STORE(low, j, low[i]); // copy(p.payload(c, dst, j), p.payload(c, src, i)), and it may be seen half done
	STORE(high, j, high[i]);
	STORE(header, j, header[i]); // *p.header(c, dst, j) = *p.header(c, src, i)
#if BUG == FREE_BEFORE_PUBLISH
	putObject(i, 0);
#endif
#if BUG == PUBLISH_UNPINNED
	recordObj(h, UNPINNED(j));
#elif BUG == UNLOCK_BY_STORE
	atomic { recordObj(h, UNPINNED(j)); owner[h] = 0 }
#elif BUG == UNLOCK_BY_RELEASE
	atomic { RELEASE; recordObj(h, UNPINNED(j)); owner[h] = 0 }
#elif BUG == PUBLISH_TWICE
	recordObj(h, UNPINNED(j)); recordObj(h, word[h] | 1);
#elif BUG != PUBLISH_BEFORE_COPY
	recordObj(h, PINNED(j));
#endif
#if BUG != UNLOCK_BY_STORE && BUG != UNLOCK_BY_RELEASE
	unpin(h);
#endif
#if BUG != FREE_BEFORE_PUBLISH
	atomic { NOTE(moved[h] = true); NOTE(left[i] = true); putObject(i, 0) }
#endif
skipped: skip
}

active proctype compactor() { // 2
	byte h, i, j;
progress:
end:	do
	:: lock();
		if
		:: atomic { (!header[0] || !header[1] || !header[SLOTS - 1]) && (header[0] || header[1] || header[SLOTS - 1]) -> freeSlot(j); allocatedSlot(i) } migrate(i, j)
		:: else // nothing to move
		fi;
		unlock();
		atomic { h = 0; i = 0; j = 0 }
	od
}

#if !defined(WEAK) && !defined(FAIR) // there a killed process's stores are still made
#define LOST(h) (acked[h] && !(LIVE(word[h]) && header[LOC(word[h])] == MINE(h) && \
	low[LOC(word[h])] == MINE(h) && high[LOC(word[h])] == MINE(h)))
#define ORPHAN(h) (LIVE(word[h]) && PIN(word[h]) && owner[h] == 0)

// What must hold between any two steps, as the process may be killed there.
active proctype always() {
end:	if
	:: atomic { LOST(0) || LOST(HANDLES - 1) -> CHECK(survives_kill, false) }
	:: atomic { ORPHAN(0) || ORPHAN(HANDLES - 1) -> CHECK(pin_has_owner, false) }
	fi
}
#endif

#ifdef WEAK
active proctype memory() { // 3
end:	do
	LATER(0) LATER(1) LATER(2)
	od
}
#endif

#ifdef FAIR
ltl each_pin_ends { []<> !(LIVE(word[0]) && PIN(word[0])) }
#endif
