internal import Units

/// Which members belong to an owner: linked lists in one array. A member has one owner at most.
///
/// Members are listed in the order in which they came.
struct Multimap<Owner: EntityKey, Member: EntityKey>: Sendable {
    private struct Node: Sendable {
        var owner: Owner
        var member: Member
        var previous: Int32
        /// Of a free node, the next free one.
        var next: Int32
        var isUsed: Bool
    }

    private struct List: Sendable {
        var first: Int32
        var last: Int32
        var count: Int
    }

    private static var none: Int32 { -1 }

    private var nodes: ContiguousArray<Node> = []
    private var firstFree: Int32 = -1
    private var index = SlotIndex()
    private var lists = KeyedValues<Owner, List>()

    init() {}

    func count(of owner: Owner) -> Int { lists[owner]?.count ?? 0 }

    /// O(members)
    func forEach(of owner: Owner, _ body: (Member) -> Void) {
        var place = lists[owner]?.first ?? Self.none
        while place != Self.none {
            body(nodes[Int(place)].member)
            place = nodes[Int(place)].next
        }
    }

    /// O(members)
    func members(of owner: Owner) -> [Member] {
        guard let list = lists[owner] else { return [] }
        var result: [Member] = []
        result.reserveCapacity(list.count)
        forEach(of: owner) { result.append($0) }
        return result
    }

    /// - Precondition: the member has no owner
    mutating func insert(_ member: Member, of owner: Owner) {
        let node = Node(owner: owner, member: member, previous: Self.none, next: Self.none, isUsed: true)
        let place = allocate(node)
        index.insert(member.indexHash, slot: place)
        var last = Self.none
        lists.update(owner, default: List(first: Self.none, last: Self.none, count: 0)) { list in
            last = list.last
            if list.first == Self.none { list.first = Int32(place) }
            list.last = Int32(place)
            list.count += 1
        }
        guard last != Self.none else { return }
        nodes[Int(last)].next = Int32(place)
        nodes[place].previous = last
    }

    /// Does nothing if it has no owner. O(1)
    mutating func remove(_ member: Member) {
        guard let place = index.slot(member.indexHash, where: { nodes[$0].isUsed && nodes[$0].member == member }) else { return }
        index.remove(member.indexHash, slot: place)
        let node = nodes[place]
        if node.previous != Self.none { nodes[Int(node.previous)].next = node.next }
        if node.next != Self.none { nodes[Int(node.next)].previous = node.previous }
        var isEmpty = false
        lists.update(node.owner, default: List(first: Self.none, last: Self.none, count: 0)) { list in
            if list.first == Int32(place) { list.first = node.next }
            if list.last == Int32(place) { list.last = node.previous }
            list.count -= 1
            isEmpty = list.count == 0
        }
        if isEmpty { lists.remove(node.owner) }
        nodes[place].isUsed = false
        nodes[place].next = firstFree
        firstFree = Int32(place)
    }

    private mutating func allocate(_ node: Node) -> Int {
        guard firstFree != Self.none else {
            nodes.append(node)
            return nodes.count - 1
        }
        let place = Int(firstFree)
        firstFree = nodes[place].next
        nodes[place] = node
        return place
    }
}
