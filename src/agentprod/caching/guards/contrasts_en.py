"""English words that exclude each other: one set per line, values between bars, words of one value between commas.

Opposites stand beside words of one kind (colours, vegetables, currencies), because putting one for the other changes
the answer in the same way. Words are matched by their stem, so `enable` also stands for `enabled` and `enabling`.
A word may stand in several sets.
"""

from __future__ import annotations

__all__ = ["SETS"]

SETS = """
# particles and places
on | off
in | out
into, onto | out of
inside, indoors, indoor, interior, inner, internal, internally, within | outside, outdoors, outdoor, exterior, outer, external, externally
up, upward, upwards, upstairs, uphill | down, downward, downwards, downstairs, downhill
above, over, more than, at least, at minimum | below, under, beneath, underneath, less than, at most, no more than, up to
over, above | under, below, beneath
before, prior to, ahead of | after, following, behind
since | until, till
with, including | without, excluding, except, minus
front, forward, forwards, ahead | back, backward, backwards, rear, behind
top, upper, uppermost | bottom, lower, lowermost, underside
left, left-hand, lefthand, anticlockwise, counterclockwise | right, right-hand, righthand, clockwise
north, northern, northward | south, southern, southward | east, eastern, eastward | west, western, westward
near, nearby, close to, next to | far, far from, away from, distant
toward, towards | away from
here | there
horizontal, horizontally, landscape | vertical, vertically, portrait
first | last, final
first, start, beginning | middle | end, ending
next, following, upcoming, coming, future | last, previous, prior, past, preceding | this, current, present
odd | even
left | centre, center, middle | right
sender | receiver, recipient
sender, from | recipient, to
# change of state
enable, activate, turn on, switch on, reactivate | disable, deactivate, turn off, switch off, inactivate
active, enabled | inactive, disabled, dormant
open, opened, unclosed | close, closed, shut, shutdown
start, begin, launch, commence, initiate | stop, end, finish, quit, terminate, cease, halt
start, resume, continue, unpause, proceed | pause, suspend, stop, abort
continue, keep | stop, quit, cancel, discontinue
enter, entry, entrance | exit, leave, exit
arrive, arrival, arriving, reach, land | depart, departure, leave, take off
come | go
add, insert, append, attach, include | remove, delete, erase, drop, detach, exclude, subtract
create, make, build, establish, construct | destroy, delete, demolish, dismantle
install, setup, set up | uninstall, remove
connect, attach, link, pair, plug in, join | disconnect, detach, unlink, unpair, unplug, separate
lock, locked | unlock, unlocked
block, ban, blacklist | unblock, unban, whitelist
mute, silence | unmute
freeze, frozen | unfreeze, unfrozen, thaw
hide, hidden, conceal, collapse | show, shown, display, reveal, unhide, visible, expand
subscribe, opt in, sign up | unsubscribe, opt out
follow | unfollow
pack, wrap, zip, compress | unpack, unwrap, unzip, decompress, extract
encrypt, encode, encryption, encoding | decrypt, decode, decryption, decoding
load | unload
lock | open
do | undo
mount | unmount, dismount
fold | unfold
tie | untie
button | unbutton
pin | unpin
archive | unarchive, restore
tag | untag
friend, befriend | unfriend
allow, permit, let, authorize, authorise, legalize | forbid, prohibit, ban, prevent, disallow, deny, block
allowed, permitted, legal, lawful, permissible | forbidden, prohibited, banned, illegal, unlawful, disallowed
accept, approve, agree, confirm, acceptance, approval, grant | reject, decline, refuse, deny, disagree, disapprove, rejection, refusal
accept, approved, accepted | declined, rejected, denied, refused
include, including, inclusive | exclude, excluding, exclusive
increase, raise, grow, rise, boost, enlarge, expand, gain, upgrade, escalate, growth, gaining, maximize, maximise | decrease, reduce, lower, drop, fall, cut, shrink, decline, diminish, lose, downgrade, reduction, minimize, minimise, lessen
gain, put on | lose, loss, losing
upgrade | downgrade
promote, promotion | demote, demotion
improve, better, improvement, enhance | worsen, worse, deteriorate, degrade
strengthen, reinforce | weaken, weakening
lengthen, extend, prolong | shorten, curtail, trim
widen, broaden | narrow
speed up, accelerate, hurry | slow down, decelerate, brake
heat, warm, heat up, warm up, heating | cool, chill, cool down, cooling, cold
freeze | melt, thaw, boil
fill, refill, fill up, fill in | empty, drain, pour out
inflate | deflate
zoom in, enlarge, magnify | zoom out, shrink
log in, login, sign in, signin, log on, logon | log out, logout, sign out, signout, log off, logoff | sign up, signup, register, registration, enroll
check in, check-in, checkin | check out, check-out, checkout
import, importing | export, exporting
upload | download
input | output
inbound, incoming, inflow, inward | outbound, outgoing, outflow, outward
push | pull
lift, pick up, raise | lower, put down, drop, set down
throw, toss | catch
put on, wear, putting on | take off, remove, undress
give, hand over | take, receive
lend, loan out, lending | borrow, borrowing
send, sent, mail, ship, forward | receive, received, receiving
buy, purchase, buyer, buying, acquire | sell, sale, seller, selling | rent, lease, hire
deposit, top up, topup, top-up, add money, pay in | withdraw, withdrawal, cash out, take out
pay, payment | refund, reimbursement, reimburse
lender, creditor | borrower, debtor
landlord | tenant
employer, boss | employee, worker, staff
hire, recruit | fire, dismiss, lay off, resign
save, saving | spend, spending, waste, delete
earn, earning, income, revenue | spend, expense, expenses, cost
profit, profitable, surplus | loss, unprofitable, deficit
asset | liability
bull, bullish | bear, bearish
win, winner, winning, victory, won | lose, loser, losing, defeat, lost
succeed, success, successful, pass | fail, failure, failed, unsuccessful
attack, offense, offence, offensive | defend, defense, defence, defensive
teach, teacher | learn, learner, student
question, ask | answer, reply
remember, recall | forget, forgot, forgotten
find, found, discover | lose, lost
agree | disagree
love, like, adore, enjoy | hate, dislike, despise, loathe, detest
support, favor, favour | oppose, against
for, pro | against, con
trust, believe | distrust, doubt, disbelieve
build | break, destroy
fix, repair, mend | break, damage
fixed | broken
appear | disappear, vanish
emerge | vanish
sleep, asleep, sleeping, fall asleep | wake, awake, waking, wake up
live, alive, living, survive | die, dead, death, dying, deceased
born, birth | died, dead, death
laugh, smile, laughing, smiling | cry, weep, frown, crying, weeping
marry, marriage, married, wedding | divorce, divorced, unmarried, single
sink | float
rise | set, fall
sunrise, dawn | sunset, dusk
sit, sitting, seated | stand, standing | lie, lying, lay, laying | kneel, kneeling | crouch, squat
run, running, jog, race, sprint | walk, stroll | jump, leap, hop | swim, dive | fly | climb | crawl | dance | sing | sleep | sit | stand | ride | drive | skate | ski | surf
eat, eating, bite, chew | drink, sip | cook, fry, bake, boil, grill, roast
read, reading | write, writing, type | speak, speaking, talk | listen, hear
slice, cut, chop, peel | mix, stir, pour, blend
draw, paint | erase
whisper | shout, scream, yell
move, moving, motion | still, motionless, stationary
speed | slow
# qualities
good, great, excellent, well | bad, poor, terrible, awful, badly, poorly
best, finest, greatest | worst
better | worse
right, correct, accurate, true, exact | wrong, incorrect, inaccurate, false, mistaken
true, real, genuine, authentic, original | false, fake, counterfeit, forged, untrue
yes | no
all, every, each, everyone, everybody, everything, always | none, nobody, nothing, never
all, entire, whole, complete, full | some, partial, part, half, incomplete
always, often, frequently, usually, regularly | never, rarely, seldom, sometimes, occasionally
many, much, lots, plenty, numerous | few, little, several, scarce
more, most, greater, additional | less, fewer, least
most, highest, largest, biggest, maximum, max, maximal, top | least, lowest, smallest, minimum, min, minimal, bottom
big, large, huge, giant, enormous, massive, great | small, little, tiny, mini, miniature, minor
bigger, larger, greater | smaller, littler, lesser
biggest, largest | smallest, tiniest
major, majority | minor, minority
high, tall, higher, taller, elevated | low, short, lower, shorter
highest, tallest | lowest, shortest
long, lengthy, longer, longest | short, brief, shorter, shortest
wide, broad, wider, widest | narrow, thin, narrower
thick, thicker | thin, slim, thinner
fat, overweight, obese | thin, skinny, slim, underweight
deep, deeper | shallow, shallower
heavy, heavier, heaviest | light, lighter, lightweight, lightest
strong, stronger, powerful, strongest | weak, weaker, weakest
hard, difficult, tough, harder | easy, simple, easier, effortless
hard, firm, solid, rigid, stiff | soft, flexible, tender, squishy
fast, quick, rapid, quickly, fastest, rapidly, faster, speedy | slow, slowly, slowest, slower
early, earlier, earliest, soon, sooner | late, later, latest, delayed
new, newest, latest, modern, recent | old, oldest, ancient, outdated, former, vintage
young, younger, youngest | old, older, oldest, elderly, senior, aged
fresh | stale, rotten, spoiled, expired
hot, hotter, hottest | cold, colder, coldest, chilly, freezing | warm, mild | cool
bright, brighter, light | dark, darker, dim, dimmer
wet, damp, moist | dry, arid, dried
clean, tidy, pure | dirty, messy, filthy, polluted, contaminated
full, filled, crowded, packed | empty, vacant, deserted, void
occupied, taken, busy | vacant, available, free, idle
open | closed
rich, wealthy | poor, broke
cheap, cheaper, cheapest, inexpensive, affordable, budget | expensive, costly, luxury, pricey, dearest
free, complimentary, gratis | paid, chargeable
safe, secure, harmless, safely | dangerous, unsafe, harmful, risky, insecure, hazardous
healthy, well | sick, ill, unhealthy, unwell
happy, glad, cheerful, joyful, pleased | sad, unhappy, upset, depressed, miserable | angry, furious, mad
calm, relaxed | nervous, anxious, stressed, excited
brave | afraid, scared, cowardly
kind, friendly, nice, polite | mean, unfriendly, rude, cruel, hostile
smart, clever, intelligent | stupid, dumb, foolish
loud, noisy, loudly, louder | quiet, silent, quietly, quieter
beautiful, pretty, handsome, attractive | ugly, unattractive
straight | curly, bent, crooked, curved, wavy
smooth | rough, bumpy
sharp | dull, blunt
tight | loose
raw, uncooked | cooked, baked, fried
ripe | unripe, rotten
sweet | sour, bitter, salty, spicy, savory, savoury
public, publicly | private, privately
domestic, local, national | international, foreign, global, overseas, abroad
native | foreign
personal, individual, private | business, corporate, commercial, company
manual, manually | automatic, automatically, automated
online, virtual, digital | offline, in person, physical, in-store, paper
wired | wireless
temporary, temporarily, provisional | permanent, permanently, forever
fixed, constant, static | variable, floating, dynamic
regular, normal, usual, ordinary | irregular, abnormal, unusual, special
common, frequent | rare, uncommon
possible | impossible
visible | invisible, hidden
legal | illegal
guilty | innocent
positive, positively | negative, negatively
optional, voluntary | mandatory, required, compulsory, obligatory
relevant | irrelevant
same, identical, equal, similar, alike | different, distinct, unequal, unlike, dissimilar
single | double, dual, twin | triple | multiple
singular | plural
once | twice | thrice
present | absent
present, presence | past | future
advantage, pro, benefit, strength, upside, pros, merit | disadvantage, con, drawback, weakness, downside, cons, demerit
cause, reason | effect, result, consequence
question | answer
theory, theoretical | practice, practical
quantity | quality
physical, physically | mental, emotional, mentally
abstract | concrete
simple, basic | complex, complicated, advanced
beginner, novice | expert, professional, advanced | intermediate
amateur | professional
formal, formally | informal, casual, informally
active voice | passive voice
active | passive
guest, visitor | host, owner
buyer, customer, client | seller, vendor, merchant, supplier
ally, friend | enemy, foe
hero | villain
parent | child, kid
adult, grown-up, grownup | child, kid, baby, infant, toddler | teenager, teen
man, men, male, gentleman, guy, boy | woman, women, female, lady, girl
boy, boys | girl, girls
man, woman, adult | boy, girl, child, kid, baby
husband | wife
father, dad, daddy, papa, fatherhood, paternity | mother, mom, mum, mommy, mummy, maternity
son | daughter
brother | sister
uncle | aunt
nephew | niece
grandfather, grandpa, granddad | grandmother, grandma, granny
king | queen
prince | princess
bride | groom
waiter | waitress
actor | actress
sir | madam
his, him, he, himself | her, hers, she, herself | their, them, they
my, mine, myself, me, i | your, yours, yourself
my | his | her | their
who, whom, whose | when, what time, what date, what day, which day | where, what place | why, how come, what reason, for what reason
how many, how much | how long | how often | how far | how old | how tall, how high | how big, how large | how fast | how heavy
why | how do, how can, how to, how should, how would
did, was, were, had | will, shall, going to, gonna, would
am, pm
morning, am | afternoon | evening, pm, night, tonight | noon, midday | midnight
day, daytime, daily | night, nighttime, nightly
second | minute | hour, hourly | day, daily | week, weekly | fortnight, biweekly, fortnightly | month, monthly | quarter, quarterly | year, yearly, annual, annually, per annum | decade | century
weekday, weekdays | weekend, weekends
spring, springtime | summer, summertime | autumn | winter, wintertime
dozen | hundred | thousand | million | billion | trillion
breakfast | lunch, luncheon | dinner, supper | brunch | snack, dessert
"""
