"""A target that speaks GraphQL, by graphql-core; it prints its port. What it was asked to do, it counts."""

import http.server
import json
from urllib.parse import parse_qs, urlsplit

from graphql import build_schema, graphql_sync

schema = build_schema(
    """
    type Customer { id: ID! email: String full_name: String contact: String tier: String orders: [Order!]! }
    type Order { id: ID! total: Int customer: Customer }
    type Query { customer(id: ID!): Customer customers: [Customer!]! done: [String!]! }
    type Mutation { refund(order: ID!): Order deleteCustomer(id: ID!): Customer note(text: String!): String }
    """
)
done = []


class Customer:
    def __init__(self, id, name, at, contact, tier):
        self.id, self.full_name, self.email, self.contact, self.tier = id, name, at, contact, tier

    def orders(self, _):
        return [Order(7, self)]


class Order:
    total = 12

    def __init__(self, id, customer):
        self.id, self.customer = id, customer


CUSTOMERS = [
    Customer("1", "Lotte Elmgren", "lotte@corp.example", "room 4711, by the stairs", "gold"),
    Customer("2", "Linus Glenmore", "linus@corp.example", "room 4712, by the door", "standard"),
]


class Root:
    def customer(self, _, id):
        return next((one for one in CUSTOMERS if one.id == id), None)

    def customers(self, _):
        return CUSTOMERS

    def done(self, _):
        return done

    def refund(self, _, order):
        done.append(f"refund {order}")
        return Order(order, CUSTOMERS[0])

    def deleteCustomer(self, _, id):
        done.append(f"delete {id}")
        return CUSTOMERS[0]

    def note(self, _, text):
        done.append(f"note {text}")
        return text


def answer(asked):
    result = graphql_sync(
        schema, asked["query"], Root(), variable_values=asked.get("variables"), operation_name=asked.get("operationName")
    )
    return result.formatted


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle_all(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if body:
            asked = json.loads(body)
        else:
            asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        told = [answer(one) for one in asked] if isinstance(asked, list) else answer(asked)
        told = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-type", "application/graphql-response+json")
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_GET = do_POST = handle_all


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
