"""English words of one kind, of which another one means another answer: same form as `contrasts_en`."""

from __future__ import annotations

__all__ = ["SETS"]

SETS = """
red, scarlet, crimson | blue, navy | green | yellow | orange | purple, violet | pink | black | white | brown | grey, gray | gold, golden | silver | beige | turquoise, teal
blonde, blond | brunette | redhead
dog, puppy, pup | cat, kitten, kitty | horse, pony | cow, cattle, calf, bull | pig, piglet, hog | sheep, lamb | goat | chicken, hen, rooster | duck | goose, geese | bird | parrot | owl | eagle | rabbit, bunny | hamster | mouse, mice | rat | fish, goldfish | shark | whale | dolphin | monkey | ape, gorilla, chimpanzee | lion | tiger | leopard, cheetah | bear | panda | wolf, wolves | fox | deer | elephant | giraffe | zebra | camel | kangaroo | koala | snake | lizard | turtle, tortoise | frog | spider | ant | bee | fly | mosquito | butterfly | lemur | squirrel | hedgehog | penguin
apple | banana | orange | lemon | lime | pear | peach | plum | grape | cherry, cherries | strawberry, strawberries | blueberry, blueberries | raspberry, raspberries | mango | pineapple | watermelon | melon | kiwi | avocado | coconut
potato, potatoes | tomato, tomatoes | carrot | onion | garlic | pepper | cucumber | lettuce | cabbage | spinach | broccoli | cauliflower | mushroom | pumpkin | corn | eggplant, aubergine | zucchini, courgette | celery | ginger | bean | pea, peas
beef, steak | pork, bacon, ham | chicken | turkey | lamb, mutton | fish, salmon, tuna | shrimp, prawn | tofu | egg
rice | pasta, spaghetti, noodle, noodles | bread | potato | soup | salad | pizza | burger, hamburger | sandwich | sushi | taco | curry | cake | pie | cookie | pancake | lasagna | steak
coffee | tea | water | milk | juice | beer | wine | vodka | whiskey, whisky | soda, cola, coke | champagne | cocoa | smoothie
sugar | salt | flour | butter | oil | vinegar | honey | cream | cheese | yogurt | chocolate | vanilla | cinnamon
vegetarian | vegan | halal | kosher | gluten-free
guitar | piano, keyboard | violin, fiddle | drum, drums | flute | trumpet | saxophone | cello | harp | bass | clarinet | trombone
football, soccer | basketball | baseball | tennis | golf | hockey | rugby | cricket | volleyball | badminton | boxing | swimming | cycling | skiing | skating | surfing | running | chess
car, automobile, taxi, cab | bus, coach | train, rail | plane, airplane, flight, aircraft | bike, bicycle, cycling | motorcycle, motorbike | truck, lorry | ship, boat, ferry, cruise | subway, metro, underground | tram | helicopter | scooter | van
flight | train | bus | hotel | car rental
airport | train station | bus station | harbor, harbour, port
windows | mac, macos, osx, macbook | linux, ubuntu, debian, fedora | android | ios, iphone | ipad
iphone | android, samsung, galaxy | pixel | huawei | xiaomi
chrome | firefox | safari | edge | opera
python | java | javascript, js, nodejs | typescript | c++, cpp | c# | rust | golang | ruby | php | kotlin | swift | perl | scala | haskell | matlab | sql | html | css | bash
react | angular | vue | svelte | django | flask | spring
mysql | postgres, postgresql | sqlite | mongodb, mongo | redis | oracle | mariadb
aws | azure | gcp
pdf | word, docx, doc | excel, xlsx, xls | csv | json | xml | yaml | txt | html | markdown
png | jpg, jpeg | gif | svg | mp3 | mp4 | wav
gmail | outlook, hotmail | yahoo
facebook | instagram | twitter | tiktok | youtube | linkedin | whatsapp | telegram | snapchat | reddit | wechat | messenger | discord
spotify | netflix | hulu | disney
zoom | teams | slack | skype
laptop, notebook | desktop | tablet | phone, smartphone, cellphone | tv, television | printer | router | camera | watch, smartwatch | headphones, headset, earbuds | monitor, screen | keyboard | mouse
ram, memory | cpu, processor | gpu | disk, ssd, storage | battery
wifi, wi-fi | bluetooth | ethernet | nfc | gps
email, e-mail, mail | phone, telephone | sms | fax | address | password | passcode | pin | username | surname | birthday, birthdate | photo, picture | language
visa | mastercard | amex | paypal | apple pay | google pay
cash | card | cheque, check | bank transfer, wire, wire transfer
debit | credit | prepaid
checking, current account | savings
physical | virtual | disposable
mortgage | loan | overdraft | pension
stock, stocks, share | bond | option | fund | crypto
bitcoin, btc | ethereum, eth | dogecoin
dollar, dollars, usd, bucks | euro, euros, eur | pound, pounds, gbp, sterling | yen, jpy | yuan, rmb, cny, renminbi | rupee, rupees, inr | franc, chf | won, krw | peso, pesos | ruble, rouble | real | zloty | krona, krone | lira
rent, rental | purchase
kitchen | bathroom, toilet, restroom | bedroom | living room | dining room | garage | garden, yard | office | basement | attic | balcony
room | suite | apartment, flat | house | villa
table | chair | bed | sofa, couch | desk | lamp, light | door | window | wall | floor | roof, ceiling
pool | gym | spa | sauna | restaurant | bar | parking, car park
lights | music | alarm | timer | reminder
hotel | restaurant | hospital | school | bank | museum | library | park | supermarket | pharmacy | church | theater, theatre, cinema | cafe | post office
shirt, t-shirt | pants, trousers, jeans | dress | skirt | jacket, coat | shoe, shoes, sneakers | boot, boots | hat, cap | glove, gloves | sock, socks | scarf | glasses, sunglasses | bikini
head | face | hair | eye, eyes | ear, ears | nose | mouth | tooth, teeth | tongue | neck | shoulder | arm | elbow | wrist | hand, hands | finger | chest | stomach, belly, abdomen | back | hip | leg, legs | knee | ankle | foot, feet | toe, toes
heart | lung, lungs | liver | kidney, kidneys | brain | stomach | skin | bone | muscle | blood
cold | flu, influenza | covid, coronavirus, covid-19 | cancer | diabetes | asthma | fever | headache, migraine | cough | allergy, allergies | pneumonia | malaria | hiv | stroke | arthritis | depression | anxiety
ibuprofen, advil | paracetamol, acetaminophen, tylenol | aspirin | antibiotic, antibiotics, penicillin | insulin | vaccine
doctor, physician | nurse | dentist | lawyer, attorney | teacher | engineer | accountant | plumber | electrician | chef, cook | driver | pilot | police, policeman | firefighter | soldier | farmer
math, mathematics, maths, algebra | physics | chemistry | biology | history | geography | economics | philosophy | psychology | literature
bachelor, bachelors, undergraduate | master, masters | phd, doctorate, doctoral
addition, plus | subtraction, minus | multiplication, times | division, divided
sum | difference | product | quotient | average, mean | median | mode
square | circle, round | triangle | rectangle | cube | sphere
area | perimeter, circumference | volume | diameter | radius
length | width | height | depth | weight
inch, inches | centimeter, centimetre, cm | millimeter, millimetre, mm | meter, metre | foot, feet | yard, yards | mile, miles | kilometer, kilometre, km
kilogram, kilograms, kg, kilo, kilos | gram, grams | pound, pounds, lbs, lb | ounce, ounces, oz | ton, tons, tonne | stone
liter, litre, liters, litres | gallon, gallons | pint | cup, cups | tablespoon, tablespoons, tbsp | teaspoon, teaspoons, tsp | milliliter, ml
celsius, centigrade | fahrenheit | kelvin
byte | kilobyte, kb | megabyte, mb | gigabyte, gb | terabyte, tb
gold | silver | copper | iron | aluminum, aluminium | steel | platinum | zinc | lead
wood, wooden | metal | plastic | glass | paper | leather | stone | concrete
oxygen | hydrogen | nitrogen | carbon | helium
calcium | iron | magnesium | potassium | sodium | zinc | protein | fat | fiber, fibre | carbohydrates, carbs
mercury | venus | earth | mars | jupiter | saturn | uranus | neptune | pluto | sun | moon
sunny, sun, sunshine | rainy, rain, raining | snowy, snow, snowing | cloudy | windy, wind | foggy | stormy, storm
earthquake | hurricane, typhoon | flood | tornado | volcano | tsunami
river | lake | sea | ocean | mountain | hill | desert | forest | island | beach | snow | grass | street, road | field
noun | verb | adjective | adverb | pronoun
synonym | antonym
president | prime minister | vice president | mayor | governor | senator
democrat, democratic | republican
christian, christianity | muslim, islam | jewish, judaism | buddhist, buddhism | hindu, hinduism
capital | population | currency | language | flag | president | president | area | time zone
movie, film | song | book | game | album | show, series | podcast
author | director | singer | actor
divorce | marriage | birth | death
inbox | outbox | spam, junk | trash
order | refund | return | exchange | invoice | receipt
appointment | meeting | reservation | class
adult | child | senior
economy | business class | first class
one-way, one way, single | round-trip, round trip, return ticket
copy | paste | cut
row | column
client | server
frontend, front-end | backend, back-end
get | post | delete
ascending | descending
uppercase | lowercase
"""
