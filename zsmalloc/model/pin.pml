// The life of a handle as handle.go, pool.go and compact.go have it: two users who share all handles, and a compactor.
// Inlines have the names of the Go functions, comments quote the line that a step stands for. README.md says what is
// checked; ./check runs it, deviations included (-D and a name in capitals).

#ifndef HANDLES
#define HANDLES 2 // fewer than slots
#define SLOTS 3   // room for objects of one class; in which zspage each is makes no difference to the protocol
#endif

// handle.go: live | location | pin. The word of a free handle is not live; the rest of it may be anything.
#define UNPINNED(s) (8 | (s) << 1)
#define PINNED(s)   (UNPINNED(s) | 1)
#define LIVE(w)     ((w) & 8)
#define PIN(w)      ((w) & 1)
#define LOC(w)      ((w) >> 1 & 3)
byte word[HANDLES];
bool taken[HANDLES]; // not in the free list
byte classMu;        // who has it, 0 for nobody

// The object of handle h holds MINE(h) three times: as its header (handle and tag), and in both halves of its bytes.
#define MINE(h) ((h) + 1)
byte header[SLOTS], low[SLOTS], high[SLOTS]; // 0: free, poisoned

// Ghosts: what is so, whatever the words say.
#define ME (_pid + 1)
byte owner[HANDLES]; // of the pin, 0 for nobody
bool acked[HANDLES]; // the object is whole, and nobody has pinned it to free it

// What must hold: an assertion that fails is reported by one of these names.
bool unpinner_owns_pin = true, publisher_owns_pin = true, pin_has_owner = true, object_is_whole = true,
	survives_kill = true, source_is_unreachable = true, header_names_live_handle = true, holder_unlocks = true;
#ifndef SEE
#define CHECK(name, cond) name = (cond); assert(name)
#define SEEN(state, cond) skip
#define NOTE(what) skip
#else // -DSEE=name: a state that must be reached, so that nothing holds only for want of it
mtype = { WAIT_FOR_MOVE, MOVED_DURING_PIN, READ_AFTER_MOVE, FREE_AFTER_MOVE, STALE_PIN_BIT, SKIP_PINNED, DEAD_HANDLE,
	RECYCLED_SLOT, LATE_COPY, HALF_COPY }
bool not_seen = true, moved[HANDLES], vacated[SLOTS];
#define SEEN(state, cond) not_seen = !(SEE == state && (cond)); assert(not_seen)
#define NOTE(what) what
#define CHECK(name, cond) skip
#endif

// WEAK: a store waits in its process's buffer, and buffers empty in any order (PSO); a process sees its own stores.
// What is a RELEASE waits for all earlier stores of its process. Without WEAK a store is a store.
#ifdef WEAK
typedef buffer { byte word[HANDLES], header[SLOTS], low[SLOTS], high[SLOTS] } // value + 1, 0 for none
buffer buf[3];
#define B buf[_pid]
#define STEP           atomic // not d_step, for its stores may have to wait
#define STORE(x, i, v) atomic { B.x[i] == 0 -> B.x[i] = (v) + 1 }
#define LOAD(x, i)     (B.x[i] -> B.x[i] - 1 : x[i])
#define RELAXED(h)     (B.word[h] == 0) // an atomic operation is in order with its process's stores to the same word
#define RELEASE        (!(B.word[0] | B.header[0] | B.header[1] | B.low[0] | B.low[1] | B.high[0] | B.high[1]))
#else
#define STEP           d_step
#define STORE(x, i, v) x[i] = (v)
#define LOAD(x, i)     x[i]
#define RELAXED(h)     true
#define RELEASE        true
#endif

#ifdef FAIR // the next who waits gets the lock, as sync.Mutex does when it must; otherwise anybody, which is more
bool wants[4];
#define NEXT(n) ((ME + n - 1) % 3 + 1)
inline lock()   { wants[ME] = true; atomic { classMu == 0 || classMu == ME -> classMu = ME; wants[ME] = false } }
inline unlock() { atomic { classMu = (wants[NEXT(1)] -> NEXT(1) : (wants[NEXT(2)] -> NEXT(2) : 0)) } }
#else
inline lock()   { STEP { classMu == 0 -> classMu = ME } }
inline unlock() { STEP { RELEASE -> CHECK(holder_unlocks, classMu == ME); classMu = 0 } }
#endif

inline allocHandle(h) { // handles.alloc. handles.mu is a leaf, so this and freeHandle are one step each.
	atomic {
		if
		:: !taken[0] -> h = 0
		:: HANDLES > 1 && !taken[HANDLES - 1] -> h = HANDLES - 1
		fi;
		taken[h] = true; NOTE(moved[h] = false)
	}
}

// handles.free. Go's clears the pin bit; here it stays, for recordObj must not care what a recycled word holds.
inline freeHandle(h) {
	STEP {
		RELEASE -> CHECK(unpinner_owns_pin, owner[h] == ME || !LIVE(word[h]));
		word[h] = PIN(word[h]); // t.word(h).Store(…)
		owner[h] = 0; taken[h] = false
	}
}

inline recordObj(h, w) { // the ghost stays: only unpin ends a pin
	STEP {
#ifndef KERNEL
		RELEASE; // as all of Go's atomics are
#endif
		CHECK(publisher_owns_pin, owner[h] == (LIVE(word[h]) -> ME : 0));
#if defined(PUBLISH_KEEPS_BIT)
		word[h] = w | PIN(word[h])
#elif defined(KERNEL)
		STORE(word, h, w) // WRITE_ONCE
#else
		word[h] = w // w.Store(word)
#endif
	}
}

inline pin(h) { // of handle.go; for backoff it waits until the word is another
	do
	:: old = LOAD(word, h); // old := w.Load()
		if
		:: atomic { !LIVE(old) -> SEEN(DEAD_HANDLE, true); break } // return 0, false; never in malloc
		:: LIVE(old) && PIN(old) -> atomic { SEEN(WAIT_FOR_MOVE, owner[h] == 3); LOAD(word, h) != old } // backoff(turn)
		:: LIVE(old) && !PIN(old) ->
			atomic { // tryPin(w, old)
				RELAXED(h);
				if
				:: word[h] == old -> word[h] = old | 1; owner[h] = ME; l = LOC(old); old = 0; ok = true; break
				:: else -> SEEN(MOVED_DURING_PIN, LIVE(word[h]) && moved[h])
				fi
			}
		fi
	od
}

inline unpin(h) {
	STEP {
#ifdef NO_RELEASE
		RELAXED(h);
#else
		RELEASE;
#endif
		CHECK(unpinner_owns_pin, owner[h] == ME);
		word[h] = word[h] & 14; owner[h] = 0 // w.And(^uint64(pinBit))
	}
}

// putObjectLocked. No word may lead to what is freed. Two kinds do not count: mine, which the caller has pinned to free
// it, and those that other users have pinned to free: their object is gone, and this one has come in its place.
#define LEADS(h, s) (LIVE(LOAD(word, h)) && LOC(LOAD(word, h)) == s && (owner[h] == 0 || owner[h] == ME))
inline putObject(s, mine) {
	STEP {
		CHECK(source_is_unreachable,
			!(LEADS(0, s) && mine != MINE(0)) && !(LEADS(HANDLES - 1, s) && mine != MINE(HANDLES - 1)));
		STORE(low, s, 0); STORE(high, s, 0); // poison(p.payload(c, run, i))
		STORE(header, s, 0) // *p.header(c, run, i) = header{tag: uint32(z.free)}
	}
}

inline takeObject(s) { // takeObjectLocked, takeFromLocked: any free object
	if
	:: header[0] == 0 -> s = 0
	:: header[1] == 0 -> s = 1
	:: SLOTS > 2 && header[SLOTS - 1] == 0 -> s = SLOTS - 1
	fi
}

inline idle() { h = 0; l = 0; old = 0; ok = false } // forgets, for fewer states

inline malloc() { // Pool.malloc: Put and Malloc
	allocHandle(h);
	lock();
	if
#ifndef KERNEL
	:: atomic { // Put
			takeObject(l); SEEN(RECYCLED_SLOT, vacated[l]);
			STORE(low, l, MINE(h)) // copy(p.payload(c, run, i), data)
		}
		STORE(high, l, MINE(h));
		STORE(header, l, MINE(h)); // *p.header(c, run, i) = header{handle: h, tag: tag}
		atomic { SEEN(STALE_PIN_BIT, PIN(word[h])); recordObj(h, UNPINNED(l)); acked[h] = true }
		atomic { unlock(); idle() }
#endif
	:: atomic { takeObject(l); STORE(header, l, MINE(h)) } // Malloc
		recordObj(h, UNPINNED(l));
		atomic { unlock(); l = 0 }
		pin(h); // and the caller writes the object
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
		whole = (LOAD(header, l) == MINE(h)); // p.header(c, l.run(), l.index()).handle == h
#endif
		whole = whole && LOAD(low, l) == MINE(h);
		atomic {
			SEEN(HALF_COPY, acked[h] && whole && LOAD(high, l) != MINE(h));
			whole = whole && LOAD(high, l) == MINE(h);
			CHECK(object_is_whole, whole || !acked[h]); SEEN(READ_AFTER_MOVE, acked[h] && moved[h]); whole = false
		}
		atomic { unpin(h); idle() }
	:: atomic { !ok -> idle() } // ErrBadHandle
	fi
}

inline Free() {
	pin(h);
	if
	:: atomic { ok && acked[h] -> acked[h] = false }
#ifdef HANDLE_FIRST
		freeHandle(h);
#endif
		lock();
		atomic { SEEN(FREE_AFTER_MOVE, moved[h]); putObject(l, MINE(h)) }
		unlock();
#ifdef HANDLE_FIRST
		atomic { idle() }
#else
		atomic { freeHandle(h); idle() }
#endif
	:: atomic { ok && !acked[h] -> unpin(h); idle() } // recycled, and its new owner is not done: a caller's bug, not ours
	:: atomic { !ok -> idle() } // ErrBadHandle
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
	:: malloc()
	:: atomic { someHandle(h) } Pin_Unpin()
	:: atomic { someHandle(h) } Free()
	od
}

inline migrate(i, j) { // migrateLocked: one object from i to j
	atomic {
		h = header[i] - 1; // p.header(c, src, i).handle
		CHECK(header_names_live_handle, taken[h] && LIVE(word[h]) && LOC(word[h]) == i)
	}
#ifdef WAIT_UNDER_LOCK
	word[h] == UNPINNED(i);
#endif
	atomic { // tryPin(w, makeLocation(c.index, src, i).unpinned())
		RELAXED(h);
		if
		:: word[h] == UNPINNED(i) -> word[h] = PINNED(i); owner[h] = ME
		:: else -> SEEN(SKIP_PINNED, true); goto skipped
		fi
	}
	if
	:: true                           // p.takeFromLocked(c, dst, …)
	:: true -> unpin(h); goto skipped // its error
	fi;
#ifdef PUBLISH_BEFORE_COPY
	recordObj(h, PINNED(j));
#endif
	STORE(low, j, low[i]); // copy(p.payload(c, dst, j), p.payload(c, src, i)), in two halves
	STORE(high, j, high[i]);
	STORE(header, j, header[i]); // *p.header(c, dst, j) = *p.header(c, src, i)
#ifdef FREE_BEFORE_PUBLISH
	putObject(i, 0);
#endif
#if defined(UNLOCK_BY_STORE)
	atomic { recordObj(h, UNPINNED(j)); owner[h] = 0 }
#elif defined(UNLOCK_BY_RELEASE)
	atomic { RELEASE; recordObj(h, UNPINNED(j)); owner[h] = 0 }
#elif defined(PUBLISH_UNPINNED)
	recordObj(h, UNPINNED(j));
#elif defined(PUBLISH_TWICE)
	recordObj(h, UNPINNED(j));
	recordObj(h, word[h] | 1);
#elif !defined(PUBLISH_BEFORE_COPY)
	recordObj(h, PINNED(j)); // recordObj(w, makeLocation(c.index, dst, j).pinned())
#endif
#if !defined(UNLOCK_BY_STORE) && !defined(UNLOCK_BY_RELEASE)
	unpin(h);
#endif
#ifndef FREE_BEFORE_PUBLISH
	atomic { NOTE(moved[h] = true); NOTE(vacated[i] = true); putObject(i, 0) }
#endif
skipped: skip
}

active proctype compactor() { // 2: compactClass, with emptyLocked and packLocked in one
	byte h, i, j;
progress:
end:	do
	:: lock();
		if
		:: atomic {
				(!header[0] || !header[1] || !header[SLOTS - 1]) && (header[0] || header[1] || header[SLOTS - 1]);
				takeObject(j);
				if
				:: header[0] -> i = 0
				:: header[1] -> i = 1
				:: SLOTS > 2 && header[SLOTS - 1] -> i = SLOTS - 1
				fi
			}
			migrate(i, j)
		:: else // nothing to move
		fi;
		atomic { unlock(); h = 0; i = 0; j = 0 }
	od
}

#if defined(WEAK)
#define LATE(p, x, i) :: atomic { buf[p].x[i] -> x[i] = buf[p].x[i] - 1; buf[p].x[i] = 0 }
#ifdef KERNEL
#define LATE_WORD(p)  :: atomic { buf[p].word[0] -> SEEN(LATE_COPY, p == 2 && (buf[p].low[0] | buf[p].low[1])); \
		word[0] = buf[p].word[0] - 1; buf[p].word[0] = 0 }
#else
#define LATE_WORD(p)  // recordObj's store does not wait
#endif
#define LATER(p) LATE(p, low, 0) LATE(p, low, 1) LATE(p, high, 0) LATE(p, high, 1) \
	LATE(p, header, 0) LATE(p, header, 1) LATE_WORD(p)
active proctype memory() { // lets stores be seen
end:	do
	LATER(0) LATER(1) LATER(2)
	od
}
#elif defined(FAIR)
ltl each_pin_ends { []<> !(LIVE(word[0]) && PIN(word[0])) }
#else
#define LOST(h) (acked[h] && !(LIVE(word[h]) && header[LOC(word[h])] == MINE(h) && \
	low[LOC(word[h])] == MINE(h) && high[LOC(word[h])] == MINE(h)))
#define ORPHAN(h) (LIVE(word[h]) && PIN(word[h]) && owner[h] == 0)
active proctype always() { // what must hold between any two steps: the process may be killed there
end:	if
	:: atomic { LOST(0) || LOST(HANDLES - 1) -> CHECK(survives_kill, false) }
	:: atomic { ORPHAN(0) || ORPHAN(HANDLES - 1) -> CHECK(pin_has_owner, false) }
	fi
}
#endif
